/** A host for the exported file: all data is in the page, there is no kernel. */

import type { Tolerances } from "../reading/threshold";
import { decodeBase64 } from "./base64";
import {
  EMPTY_RUN,
  EMPTY_VIEW,
  type Host,
  type RunInfo,
  type Status,
  type Topic,
  VIEW_TOPICS,
  type View,
} from "./host";

export interface StaticPayload {
  readonly version: number;
  readonly title: string;
  readonly text: string;
  readonly state: Tolerances &
    View & {
      readonly layer: string;
      readonly status: Status;
      readonly _run: Partial<RunInfo>;
    };
  /** Where the page holds the parts of the table's snapshot, compressed and in base64. */
  readonly table: readonly string[];
  /** Those of the worst units' snapshot. */
  readonly worst: readonly string[];
  readonly units: Readonly<Record<string, readonly string[]>>;
}

/** The text of a part: asked for when it is needed, and not kept. */
export type ReadPart = (id: string) => string;

async function unpack(parts: readonly string[], read: ReadPart): Promise<DataView> {
  const packed = new Blob(parts.map((id) => decodeBase64(read(id))));
  const stream = packed.stream().pipeThrough(new DecompressionStream("gzip"));
  return new DataView(await new Response(stream).arrayBuffer());
}

export class StaticHost implements Host {
  readonly title: string;
  readonly text: string;
  readonly canRun = false;
  readonly #payload: StaticPayload;
  readonly #read: ReadPart;
  readonly #table: DataView;
  readonly #worst: DataView;
  readonly #listeners = new Map<Topic, Set<() => void>>();
  #tolerances: Tolerances;
  #view: View;
  #layer = "";
  #units: DataView | null = null;
  #damaged = new Set<string>();

  private constructor(payload: StaticPayload, read: ReadPart, table: DataView, worst: DataView) {
    this.title = payload.title;
    this.text = payload.text;
    this.#payload = payload;
    this.#read = read;
    this.#table = table;
    this.#worst = worst;
    const { rtol, atol, scale, dead_at, tau } = payload.state;
    this.#tolerances = { rtol, atol, scale, dead_at, tau };
    const { selected, sort, filter, color } = payload.state;
    this.#view = { selected, sort, filter, color };
  }

  static async open(payload: StaticPayload, read: ReadPart): Promise<StaticHost> {
    if (payload.version !== 3) {
      throw new Error(
        `This page was made in format ${payload.version}, which its own code does not read. ` +
          "Export it again.",
      );
    }
    const table = await unpack(payload.table, read);
    const host = new StaticHost(payload, read, table, await unpack(payload.worst, read));
    const first = payload.state.layer || Object.keys(payload.units)[0] || "";
    await host.#select(first);
    return host;
  }

  async #select(name: string): Promise<void> {
    this.#layer = name;
    this.#units = null;
    this.#notify("layer");
    const parts = Object.hasOwn(this.#payload.units, name) ? this.#payload.units[name] : undefined;
    if (parts === undefined) return;
    try {
      const units = await unpack(parts, this.#read);
      if (this.#layer !== name) return;
      this.#units = units;
    } catch {
      this.#damaged.add(name);
    }
    this.#notify("units");
  }

  #notify(topic: Topic): void {
    for (const listener of this.#listeners.get(topic) ?? []) listener();
  }

  tolerances(): Tolerances {
    return this.#tolerances;
  }

  setTolerances(changes: Partial<Tolerances>): void {
    this.#tolerances = { ...this.#tolerances, ...changes };
    this.#notify("tolerances");
  }

  settle(): void {}

  layer(): string {
    return this.#layer;
  }

  setLayer(name: string): void {
    if (name === this.#layer) return;
    this.setView({ selected: EMPTY_VIEW.selected });
    void this.#select(name);
  }

  view(): View {
    return this.#view;
  }

  setView(changes: Partial<View>): void {
    this.#view = { ...this.#view, ...changes };
    for (const name of Object.keys(changes)) this.#notify(VIEW_TOPICS[name as keyof View]);
  }

  status(): Status {
    return this.#payload.state.status;
  }

  run(): RunInfo {
    return { ...EMPTY_RUN, ...this.#payload.state._run };
  }

  table(): DataView {
    return this.#table;
  }

  units(): DataView | null {
    return this.#units;
  }

  worst(): DataView {
    return this.#worst;
  }

  unitsAbsent(layer: string): string | null {
    if (this.#damaged.has(layer)) return "The units of this layer are damaged in this file.";
    return Object.hasOwn(this.#payload.units, layer)
      ? null
      : "The units of this layer were left out of this file to keep it small.";
  }

  kernelGone(): boolean {
    return false;
  }

  command(): void {}

  shown(): void {}

  subscribe(topic: Topic, listener: () => void, signal: AbortSignal): void {
    const listeners = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, listeners.add(listener));
    signal.addEventListener("abort", () => listeners.delete(listener), { once: true });
  }
}
