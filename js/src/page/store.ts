/** The state of the page: a signal for each trait of the model, and what is derived from them. */

import {
  batch,
  computed,
  effect,
  type ReadonlySignal,
  type Signal,
  signal,
} from "@preact/signals-core";
import type { Coloring } from "../canvas/levels";
import type { Host } from "../host/host";
import { compareTables, compareUnits, decodeDead } from "../reading/compare_looks";
import { decodeHistory } from "../reading/history";
import { decodeLives } from "../reading/life";
import { asSort } from "../reading/row_order";
import { decodeTable, decodeUnits } from "../reading/snapshot";
import { TableReading } from "../reading/table_reading";
import type { Scale, Tolerances } from "../reading/threshold";
import type { FactsOfUnit } from "../units/card_facts";
import { WorstUnits } from "../worst/worst_reading";
import type { GroupPicture } from "./groups";

export type Status = "idle" | "running" | "paused" | "stopped" | "done" | "failed";

export interface RunInfo {
  readonly probes: number;
  readonly total: number | null;
  readonly elapsed: number;
  readonly rate: number | null;
  readonly remaining: number | null;
  /** What the counts take now. */
  readonly nbytes: number;
  /** The number of the newest frame: what the page has shown, it tells. */
  readonly frame: number;
  readonly error: { readonly title: string; readonly message: string } | null;
  readonly notes: readonly string[];
  /** Those of the notes that are to be in sight. */
  readonly warnings: readonly string[];
  /** The note that says why the page opened at a relative tolerance; empty where it did not. */
  readonly opened: string;
  readonly source: string;
  readonly restartable: boolean;
  /** Whether the run counts again, at the tolerances it began with. */
  readonly recounting: boolean;
  /** Goes up with every sign of life between two frames. */
  readonly beats: number;
  /** What it is compared with; null where with nothing. */
  readonly compared: {
    readonly with: string;
    readonly probes: number;
    /** Why it cannot be compared; empty where it can. */
    readonly refused: string;
  } | null;
  /** The step of training that the figures are of; null where there is no history. */
  readonly look: number | null;
  /** Whether there is a history, perhaps without a look so far. */
  readonly trains: boolean;
  /** The groups that probes are counted by, in order. */
  readonly groups: readonly string[];
}

export const EMPTY_RUN: RunInfo = {
  probes: 0,
  total: null,
  elapsed: 0,
  rate: null,
  remaining: null,
  nbytes: 0,
  frame: 0,
  error: null,
  notes: [],
  warnings: [],
  opened: "",
  source: "",
  restartable: false,
  recounting: false,
  beats: 0,
  compared: null,
  look: null,
  trains: false,
  groups: [],
};

/** A trait as it is, or as it is without a kernel that knows it. */
function plain<Value>(missing: Value): (raw: unknown) => Value {
  return (raw) => (raw ?? missing) as Value;
}

/** A trait in bytes, decoded; null while there are none. */
function bytes<Value>(decode: (data: DataView) => Value): (raw: unknown) => Value | null {
  return (raw) => {
    const data = raw instanceof ArrayBuffer ? new DataView(raw) : raw;
    if (!ArrayBuffer.isView(data) || data.byteLength === 0) return null;
    return decode(new DataView(data.buffer, data.byteOffset, data.byteLength));
  };
}

/**
 * Every trait that is shown, and how it is read. Two are not: `_still`, which `widget.ts` reads once,
 * and `_shown`, which `host.ts` only writes.
 */
const TRAITS = {
  rtol: plain(0),
  atol: plain(1e-8),
  scale: plain<Scale>("layer_mean"),
  dead_at: plain(1),
  tau: plain(0.025),
  layer: plain(""),
  /** Units of the layer, as indices in its own C order, ascending. */
  selected: plain<readonly number[]>([]),
  /** The order of the table's rows: null is that of the network. */
  sort: asSort,
  /** Text that the rows of the table are filtered by; empty for all rows. */
  filter: plain(""),
  /** What the heatmap's colors stand for. */
  color: plain<Coloring>("share"),
  /** The step of training on show; null for the newest look. */
  look: plain<number | null>(null),
  /** The step that is compared with it; null for none. */
  against: plain<number | null>(null),
  /** The group of probes on show; null for all. */
  group: plain<string | null>(null),
  /** Whether the pictures of the layer in each group are asked for. */
  by_group: plain(false),
  status: plain<Status>("idle"),
  _run: (raw: unknown): RunInfo => ({ ...EMPTY_RUN, ...(raw as Partial<RunInfo> | undefined) }),
  _table: bytes((data) => new TableReading(decodeTable(data))),
  _units: bytes(decodeUnits),
  _worst: bytes((data) => new WorstUnits(data)),
  _history: bytes(decodeHistory),
  _life: bytes(decodeLives),
  _groups: plain<readonly GroupPicture[]>([]),
  _cards: plain<readonly FactsOfUnit[]>([]),
  /** How many looks a file has all of; null where a kernel has them. */
  _held: plain<number | null>(null),
  /** In a file, which has no kernel to compare two looks: what is dead in that before and that on show. */
  _dead_before: bytes(decodeDead),
  _dead: bytes(decodeDead),
  /** Whether the kernel is known to be gone, so that nothing can be asked of it. */
  _gone: plain(false),
  /** Why a file has no units of the layer; empty where it has, or may get them. */
  _absent: plain(""),
} as const;

type Trait = keyof typeof TRAITS;
type Values = { readonly [Name in Trait]: ReturnType<(typeof TRAITS)[Name]> };
type Signals = { readonly [Name in Trait]: ReadonlySignal<Values[Name]> };
const NAMES = Object.keys(TRAITS) as Trait[];

/** What the page may set. */
type Changes = Partial<
  Pick<
    Values,
    | keyof Tolerances
    | "selected"
    | "sort"
    | "filter"
    | "color"
    | "look"
    | "against"
    | "group"
    | "by_group"
  >
>;

export class Store {
  readonly #host: Host;
  readonly #abort: AbortSignal;
  readonly #stale = new Set<Trait>(NAMES);
  readonly #signals = Object.fromEntries(
    NAMES.map((name) => [name, signal<unknown>(TRAITS[name](undefined))]),
  ) as Record<Trait, Signal<unknown>>;
  #frame = 0;

  readonly traits = this.#signals as Signals;
  readonly tolerances = computed((): Tolerances => {
    const { rtol, atol, scale, dead_at, tau } = this.traits;
    return {
      rtol: rtol.value,
      atol: atol.value,
      scale: scale.value,
      dead_at: dead_at.value,
      tau: tau.value,
    };
  });
  readonly #table = computed(() => {
    const { _table, _dead_before, _dead } = this.traits;
    const [table, before, after] = [_table.value, _dead_before.value, _dead.value];
    if (table === null || before === null || after === null) return table;
    return new TableReading({ ...table.table, comparison: compareTables(before, after) });
  });
  /** The table at the tolerances on show. */
  readonly reading = computed(() => this.#table.value?.read(this.tolerances.value) ?? null);
  /** The units of the selected layer. */
  readonly units = computed(() => {
    const { _units, _dead_before, _dead } = this.traits;
    const [units, before, after] = [_units.value, _dead_before.value, _dead.value];
    if (units === null || before === null || after === null) return units;
    return { ...units, comparison: compareUnits(before, after, units.layer) };
  });
  /** What went wrong with the last frame. */
  readonly fault = signal<unknown>(null);

  constructor(host: Host, abort: AbortSignal) {
    this.#host = host;
    this.#abort = abort;
    for (const name of NAMES) host.subscribe(name, () => this.#changed(name), abort);
    abort.addEventListener("abort", () => cancelAnimationFrame(this.#frame), { once: true });
  }

  #changed(name: Trait): void {
    this.#stale.add(name);
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.update();
    });
  }

  /** Take over all that has changed at once; what cannot be read is not tried again before it changes. */
  update(): void {
    const stale = [...this.#stale];
    this.#stale.clear();
    batch(() => {
      this.fault.value = null;
      for (const name of stale) {
        try {
          this.#signals[name].value = TRAITS[name](this.#host.get(name));
        } catch (error) {
          this.fault.value = error;
        }
      }
    });
    if (this.fault.peek() === null) this.#host.shown(this.traits._run.peek().frame);
  }

  /** Run now, and once in every frame in which something that it has read is another. */
  show(view: () => void): void {
    const stop = effect(() => {
      try {
        view();
      } catch (error) {
        this.fault.value = error;
      }
    });
    this.#abort.addEventListener("abort", stop, { once: true });
  }

  set(changes: Changes): void {
    this.#set(changes);
  }

  /** Select a layer, which lets go of the units of another. */
  select(layer: string): void {
    const other = layer !== TRAITS.layer(this.#host.get("layer"));
    this.#set(other ? { selected: [], layer } : { layer });
    this.#host.settle();
  }

  #set(changes: Partial<Values>): void {
    this.#host.set(changes);
    for (const name of Object.keys(changes)) this.#changed(name as Trait);
  }
}
