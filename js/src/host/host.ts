/** What the views need from the page they run in, and how anywidget gives it. */

import type { Scale, Tolerances } from "../reading/threshold";
import { GONE } from "./kernel_watch";

export type Status = "idle" | "running" | "paused" | "stopped" | "done" | "failed";
export type Command = "start" | "pause" | "resume" | "stop" | "restart" | "recount";
export type Topic =
  | "tolerances"
  | "layer"
  | "run"
  | "kernel"
  | "table"
  | "units"
  | "worst"
  | "selected"
  | "sort"
  | "filter"
  | "color";

export interface RunInfo {
  readonly probes: number;
  readonly total: number | null;
  readonly elapsed: number;
  readonly rate: number | null;
  readonly remaining: number | null;
  /** Bytes the counts take now. */
  readonly held: number;
  /** The number of the newest frame: what the page has shown, it tells. */
  readonly frame: number;
  readonly error: { readonly title: string; readonly message: string } | null;
  readonly notes: readonly string[];
  readonly source: string;
  readonly restartable: boolean;
  /** Whether the run counts again, at the tolerances it began with. */
  readonly recounting: boolean;
  /** Goes up with every sign of life between two frames. */
  readonly beats: number;
}

/** The order of the table's rows: null is that of the network. */
export interface SortChoice {
  readonly column: string;
  readonly ascending: boolean;
}

export type Color = "share" | "count" | "mean |x|" | "dead";

/** What is on show besides the layer, as Python sees and sets it. */
export interface View {
  /** Selected units of the layer, as indices in its own C order, ascending. */
  readonly selected: readonly number[];
  readonly sort: SortChoice | null;
  /** Text that the rows of the table are filtered by; empty for all rows. */
  readonly filter: string;
  /** What the heatmap's colors stand for. */
  readonly color: Color;
}

export const EMPTY_VIEW: View = { selected: [], sort: null, filter: "", color: "share" };

export const VIEW_TOPICS: Readonly<Record<keyof View, Topic>> = {
  selected: "selected",
  sort: "sort",
  filter: "filter",
  color: "color",
};

export interface Host {
  /** Shown above the view; empty inside a notebook. */
  readonly title: string;
  /** What its reader is to see, under the title; empty where nobody has written it. */
  readonly text: string;
  /** False in an exported file: there is no kernel to start, pause or stop. */
  readonly canRun: boolean;
  tolerances(): Tolerances;
  setTolerances(changes: Partial<Tolerances>): void;
  /** Send what is still held back; called when a drag ends. */
  settle(): void;
  layer(): string;
  setLayer(name: string): void;
  view(): View;
  /** Tells the listeners of what has changed; selecting another layer lets go of its units. */
  setView(changes: Partial<View>): void;
  status(): Status;
  run(): RunInfo;
  table(): DataView | null;
  units(): DataView | null;
  /** The worst units of the network. */
  worst(): DataView | null;
  /** Why the units of a layer will never arrive, or null when they may. */
  unitsAbsent(layer: string): string | null;
  /** Whether the kernel is known to be gone, so that nothing can be asked of it. */
  kernelGone(): boolean;
  command(command: Command): void;
  /** Tell that a frame has been shown, so that the next come in the measure of the connection. */
  shown(frame: number): void;
  subscribe(topic: Topic, listener: () => void, signal: AbortSignal): void;
}

export const EMPTY_RUN: RunInfo = {
  probes: 0,
  total: null,
  elapsed: 0,
  rate: null,
  remaining: null,
  held: 0,
  frame: 0,
  error: null,
  notes: [],
  source: "",
  restartable: false,
  recounting: false,
  beats: 0,
};

/** The part of anywidget's model that is used here. */
export interface WidgetModel {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  send(content: unknown): void;
  on(event: string, listener: (...told: never[]) => void): void;
  off(event: string, listener: (...told: never[]) => void): void;
  /** Jupyter's, which knows the kernel; other hosts have one of their own, or none. */
  readonly widget_manager?: unknown;
}

const TRAITS: Readonly<Record<Topic, readonly string[]>> = {
  tolerances: ["rtol", "atol", "scale", "dead_at", "tau"],
  layer: ["layer"],
  run: ["status", "_run"],
  kernel: [GONE],
  table: ["_table"],
  units: ["_units"],
  worst: ["_worst"],
  selected: ["selected"],
  sort: ["sort"],
  filter: ["filter"],
  color: ["color"],
};

const SAVE_EVERY_MS = 100;

function asBytes(value: unknown): DataView | null {
  if (value instanceof DataView) return value.byteLength > 0 ? value : null;
  if (value instanceof ArrayBuffer) return value.byteLength > 0 ? new DataView(value) : null;
  if (ArrayBuffer.isView(value)) {
    return value.byteLength > 0
      ? new DataView(value.buffer, value.byteOffset, value.byteLength)
      : null;
  }
  return null;
}

export class AnywidgetHost implements Host {
  readonly title = "";
  readonly text = "";
  readonly canRun = true;
  readonly #model: WidgetModel;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #savedAt = Number.NEGATIVE_INFINITY;

  constructor(model: WidgetModel, signal: AbortSignal) {
    this.#model = model;
    signal.addEventListener("abort", () => this.settle(), { once: true });
    this.subscribe("kernel", () => this.#save(), signal);
  }

  tolerances(): Tolerances {
    return {
      rtol: this.#model.get("rtol") as number,
      atol: this.#model.get("atol") as number,
      scale: this.#model.get("scale") as Scale,
      dead_at: (this.#model.get("dead_at") as number | undefined) ?? 1,
      tau: this.#model.get("tau") as number,
    };
  }

  setTolerances(changes: Partial<Tolerances>): void {
    this.#set(changes);
  }

  #set(changes: object): void {
    for (const [name, value] of Object.entries(changes)) this.#model.set(name, value);
    if (this.#timer !== null) return;
    const wait = this.#savedAt + SAVE_EVERY_MS - performance.now();
    if (wait <= 0) this.#save();
    else this.#timer = setTimeout(() => this.#save(), wait);
  }

  settle(): void {
    if (this.#timer !== null) this.#save();
  }

  #save(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#savedAt = performance.now();
    // To send where nobody is makes the notebook throw; the views follow the model all the same.
    if (!this.kernelGone()) this.#model.save_changes();
  }

  layer(): string {
    return (this.#model.get("layer") as string | undefined) ?? "";
  }

  setLayer(name: string): void {
    if (name !== this.layer()) this.#model.set("selected", []);
    this.#model.set("layer", name);
    this.#save();
  }

  view(): View {
    const state = (name: keyof View): unknown => this.#model.get(name) ?? EMPTY_VIEW[name];
    return {
      selected: state("selected") as View["selected"],
      sort: state("sort") as View["sort"],
      filter: state("filter") as string,
      color: state("color") as Color,
    };
  }

  setView(changes: Partial<View>): void {
    this.#set(changes);
  }

  status(): Status {
    return (this.#model.get("status") as Status | undefined) ?? "idle";
  }

  run(): RunInfo {
    return { ...EMPTY_RUN, ...(this.#model.get("_run") as Partial<RunInfo> | undefined) };
  }

  table(): DataView | null {
    return asBytes(this.#model.get("_table"));
  }

  units(): DataView | null {
    return asBytes(this.#model.get("_units"));
  }

  worst(): DataView | null {
    return asBytes(this.#model.get("_worst"));
  }

  unitsAbsent(): string | null {
    return this.kernelGone()
      ? "The units of this layer are not on the page, and the kernel that had them is gone."
      : null;
  }

  kernelGone(): boolean {
    return this.#model.get(GONE) === true;
  }

  command(command: Command): void {
    if (!this.kernelGone()) this.#model.send({ type: "command", command });
  }

  shown(frame: number): void {
    if (this.kernelGone() || this.#model.get("_shown") === frame) return;
    this.#model.set("_shown", frame);
    this.#model.save_changes();
  }

  subscribe(topic: Topic, listener: () => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    const events = TRAITS[topic].map((trait) => `change:${trait}`);
    for (const event of events) this.#model.on(event, listener);
    signal.addEventListener(
      "abort",
      () => {
        for (const event of events) this.#model.off(event, listener);
      },
      { once: true },
    );
  }
}
