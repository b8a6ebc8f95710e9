/** The host of an exported file: all data is in the page, and there is no kernel. */

import { decodeBase64 } from "./base64";
import type { Host } from "./host";
import { lookNear, type StaticHistory, type StaticLook, UnpackedLook } from "./static_looks";

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
  /** Of a training: other looks, too. */
  readonly over_time?: StaticHistory;
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
  /** What the file was written with on show. */
  readonly #first: Readonly<Record<string, unknown>>;
  /** The look on show, where that is another. */
  #look: UnpackedLook | null = null;
  #livesOf: string | null = null;
  #showing = false;
  /** Whether another look was chosen since the one that is being shown. */
  #stale = false;

  private constructor(payload: StaticPayload, read: ReadPart, bytes: Record<string, unknown>) {
    this.title = payload.title;
    this.text = payload.text;
    this.#payload = payload;
    this.#read = read;
    const { _run } = payload.state;
    this.#first = { _run, _table: bytes._table, _worst: bytes._worst };
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
    const { over_time } = payload;
    const _history =
      over_time === undefined
        ? {}
        : { _history: await unpack(over_time.timeline, read), _held: over_time.looks.length };
    const host = new StaticHost(payload, read, { _table, _worst, ..._history });
    await host.#select(payload.state.layer || Object.keys(payload.units)[0] || "");
    if (payload.state.against != null) await host.#compare();
    return host;
  }

  /** Show the look at the step that is chosen: one after the other, those between left out. */
  async #show(): Promise<void> {
    this.#stale = true;
    if (this.#showing) return;
    this.#showing = true;
    try {
      while (this.#stale) {
        this.#stale = false;
        await this.#showChosen();
      }
    } finally {
      this.#showing = false;
    }
  }

  async #showChosen(): Promise<void> {
    const chosen = this.#state.look;
    const found = lookNear(this.#looks, chosen as number | null);
    if (found === null) return;
    const own = found.step === (this.#first._run as { look?: number }).look;
    this.#look = own ? null : await this.#unpacked(found);
    // What the file has is what is chosen, unless another is chosen meanwhile.
    if (chosen !== null && this.#state.look === chosen) this.#put({ look: found.step });
    const _run = { ...(this.#first._run as object), look: found.step, probes: found.probes };
    const [_table, _worst] = [this.#look?.block("table"), this.#look?.block("worst")];
    this.#put(own ? this.#first : { _table, _worst, _run });
    await Promise.all([this.#select(String(this.#state.layer)), this.#compare()]);
  }

  /** Give what the page compares two looks by. */
  async #compare(): Promise<void> {
    const { look, against } = this.#state;
    const [before, after] = against == null ? [null, null] : [against, look];
    const read = async (step: unknown): Promise<DataView | null> => {
      const found = lookNear(this.#looks, step as number | null);
      return found === null ? null : (await this.#unpacked(found)).block("dead");
    };
    const [_dead_before, _dead] =
      before === null ? [null, null] : await Promise.all([read(before), read(after)]);
    if (this.#state.look === look && this.#state.against === against) {
      this.#put({ _dead_before, _dead });
    }
  }

  get #looks(): readonly StaticLook[] {
    return this.#payload.over_time?.looks ?? [];
  }

  async #unpacked(look: StaticLook): Promise<UnpackedLook> {
    if (this.#look?.look === look) return this.#look;
    return new UnpackedLook(look, await unpack(look.parts, this.#read));
  }

  async #select(layer: string): Promise<void> {
    const parts = Object.hasOwn(this.#payload.units, layer) ? this.#payload.units[layer] : null;
    const _absent = parts === null ? LEFT_OUT : "";
    const look = this.#look;
    if (look !== null) {
      const number = Object.keys(this.#payload.units).indexOf(layer);
      this.#put({ layer, _absent, _units: look.block(`units ${number}`) });
      await this.#giveLives(layer);
      return;
    }
    this.#put({ layer, _absent, _units: null });
    if (parts == null) return;
    let read: Record<string, unknown>;
    try {
      read = { _units: await unpack(parts, this.#read) };
    } catch {
      read = { _absent: DAMAGED };
    }
    if (this.#state.layer === layer && this.#look === null) this.#put(read);
    await this.#giveLives(layer);
  }

  async #giveLives(layer: string): Promise<void> {
    const parts = this.#payload.over_time?.lives[layer];
    if (parts === undefined || this.#livesOf === layer) return;
    this.#livesOf = layer;
    const _life = await unpack(parts, this.#read);
    if (this.#livesOf === layer) this.#put({ _life });
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
    const { look, against } = this.#state;
    this.#put(changes);
    if (this.#state.look !== look) void this.#show();
    else if (this.#state.against !== against) void this.#compare();
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
