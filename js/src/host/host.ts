/** The interface of the page's host, and anywidget as a host. */

export type Command = "start" | "pause" | "resume" | "stop" | "restart" | "recount";

/** Traits by the names that they have in Python, and listeners to them. */
export interface Host {
  /** Shown above the view; empty inside a notebook. */
  readonly title: string;
  /** What its reader is to see, under the title; empty where nobody has written it. */
  readonly text: string;
  /** False in an exported file: there is no kernel to start, pause or stop. */
  readonly canRun: boolean;
  /** Undefined where there is no such trait, as with an older kernel. */
  get(name: string): unknown;
  set(changes: Readonly<Record<string, unknown>>): void;
  /** Send what still waits to be sent; called when a drag ends. */
  settle(): void;
  command(command: Command): void;
  /** Tell that a frame has been shown, so that the next come in the measure of the connection. */
  shown(frame: number): void;
  subscribe(name: string, listener: () => void, signal: AbortSignal): void;
}

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

/** A mark on the model, which all views of the widget share, and no kernel ever sees. */
export const GONE = "_gone";
const SAVE_EVERY_MS = 100;

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
    this.subscribe(GONE, () => this.#save(), signal);
  }

  get(name: string): unknown {
    return this.#model.get(name);
  }

  set(changes: Readonly<Record<string, unknown>>): void {
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
    if (!this.#kernelGone()) this.#model.save_changes();
  }

  #kernelGone(): boolean {
    return this.#model.get(GONE) === true;
  }

  command(command: Command): void {
    if (!this.#kernelGone()) this.#model.send({ type: "command", command });
  }

  shown(frame: number): void {
    if (this.#kernelGone() || this.#model.get("_shown") === frame) return;
    this.#model.set("_shown", frame);
    this.#model.save_changes();
  }

  subscribe(name: string, listener: () => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    const event = `change:${name}`;
    this.#model.on(event, listener);
    signal.addEventListener("abort", () => this.#model.off(event, listener), { once: true });
  }
}
