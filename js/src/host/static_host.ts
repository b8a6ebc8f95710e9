/** The host of an exported file: all data is in the page, and there is no kernel. */

import { decodeBase64 } from "./base64";
import type { Host } from "./host";

export interface StaticPayload {
  readonly version: number;
  readonly title: string;
  readonly text: string;
  /** The traits but for those in bytes. */
  readonly state: Readonly<Record<string, unknown>> & { readonly layer: string };
  /** Where the page holds the parts of the table's snapshot, compressed and in base64. */
  readonly table: readonly string[];
  /** Those of the worst units' snapshot. */
  readonly worst: readonly string[];
  readonly units: Readonly<Record<string, readonly string[]>>;
}

/** The text of a part: asked for when it is needed, and not kept. */
export type ReadPart = (id: string) => string;

const DAMAGED = "The units of this layer are damaged in this file.";
const LEFT_OUT = "The units of this layer were left out of this file to keep it small.";

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
  readonly #state: Record<string, unknown>;
  readonly #listeners = new Map<string, Set<() => void>>();

  private constructor(payload: StaticPayload, read: ReadPart, bytes: Record<string, DataView>) {
    this.title = payload.title;
    this.text = payload.text;
    this.#payload = payload;
    this.#read = read;
    this.#state = { ...payload.state, ...bytes };
  }

  static async open(payload: StaticPayload, read: ReadPart): Promise<StaticHost> {
    if (payload.version !== 3) {
      throw new Error(
        `This page was made in format ${payload.version}, which its own code does not read. ` +
          "Export it again.",
      );
    }
    const _table = await unpack(payload.table, read);
    const _worst = await unpack(payload.worst, read);
    const host = new StaticHost(payload, read, { _table, _worst });
    await host.#select(payload.state.layer || Object.keys(payload.units)[0] || "");
    return host;
  }

  async #select(layer: string): Promise<void> {
    const parts = Object.hasOwn(this.#payload.units, layer) ? this.#payload.units[layer] : null;
    const _absent = parts === null ? LEFT_OUT : "";
    this.#put({ layer, _absent, _units: null });
    if (parts == null) return;
    let read: Record<string, unknown>;
    try {
      read = { _units: await unpack(parts, this.#read) };
    } catch {
      read = { _absent: DAMAGED };
    }
    if (this.#state.layer === layer) this.#put(read);
  }

  #put(changes: Readonly<Record<string, unknown>>): void {
    Object.assign(this.#state, changes);
    for (const name of Object.keys(changes)) {
      for (const listener of this.#listeners.get(name) ?? []) listener();
    }
  }

  get(name: string): unknown {
    return this.#state[name];
  }

  set({ layer, ...changes }: Readonly<Record<string, unknown>>): void {
    this.#put(changes);
    if (layer !== undefined && layer !== this.#state.layer) void this.#select(String(layer));
  }

  settle(): void {}

  command(): void {}

  shown(): void {}

  subscribe(name: string, listener: () => void, signal: AbortSignal): void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    signal.addEventListener("abort", () => listeners.delete(listener), { once: true });
  }
}
