/** What the views need from the page they run in, and how anywidget gives it. */

import type { Scale, Tolerances } from "./core/threshold";

export type Status = "idle" | "running" | "paused" | "stopped" | "done" | "failed";
export type Command = "start" | "pause" | "resume" | "stop" | "restart";
export type Topic = "tolerances" | "layer" | "run" | "table" | "units";

export interface RunInfo {
  readonly probes: number;
  readonly total: number | null;
  readonly elapsed: number;
  readonly rate: number | null;
  readonly remaining: number | null;
  readonly error: { readonly title: string; readonly message: string } | null;
  readonly notes: readonly string[];
  readonly source: string;
  readonly restartable: boolean;
}

export interface Host {
  /** Shown above the view; empty inside a notebook. */
  readonly title: string;
  /** False in an exported file: there is no kernel to start, pause or stop. */
  readonly canRun: boolean;
  tolerances(): Tolerances;
  setTolerances(changes: Partial<Tolerances>): void;
  /** Send what is still held back; called when a drag ends. */
  settle(): void;
  layer(): string;
  setLayer(name: string): void;
  status(): Status;
  run(): RunInfo;
  table(): DataView | null;
  units(): DataView | null;
  /** Why the units of a layer will never arrive, or null when they may. */
  unitsAbsent(layer: string): string | null;
  command(command: Command): void;
  subscribe(topic: Topic, listener: () => void, signal: AbortSignal): void;
}

export const EMPTY_RUN: RunInfo = {
  probes: 0,
  total: null,
  elapsed: 0,
  rate: null,
  remaining: null,
  error: null,
  notes: [],
  source: "",
  restartable: false,
};

/** The part of anywidget's model that is used here. */
export interface WidgetModel {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  send(content: unknown): void;
  on(event: string, listener: () => void): void;
  off(event: string, listener: () => void): void;
}

const TRAITS: Readonly<Record<Topic, readonly string[]>> = {
  tolerances: ["rtol", "atol", "scale"],
  layer: ["layer"],
  run: ["status", "_run"],
  table: ["_table"],
  units: ["_units"],
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
  readonly canRun = true;
  readonly #model: WidgetModel;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #savedAt = Number.NEGATIVE_INFINITY;

  constructor(model: WidgetModel, signal: AbortSignal) {
    this.#model = model;
    signal.addEventListener("abort", () => this.settle(), { once: true });
  }

  tolerances(): Tolerances {
    return {
      rtol: this.#model.get("rtol") as number,
      atol: this.#model.get("atol") as number,
      scale: this.#model.get("scale") as Scale,
    };
  }

  setTolerances(changes: Partial<Tolerances>): void {
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
    this.#model.save_changes();
  }

  layer(): string {
    return (this.#model.get("layer") as string | undefined) ?? "";
  }

  setLayer(name: string): void {
    this.#model.set("layer", name);
    this.#save();
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

  unitsAbsent(): string | null {
    return null;
  }

  command(command: Command): void {
    this.#model.send({ type: "command", command });
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
