/** Notices when a kernel that ought to be counting is not heard from, and says what that means. */

import { Alert } from "./alert";

/** The kernel gives a sign of life every 5 s while a run goes on or is held. */
const SILENT_AFTER_S = 16;
const LOOK_EVERY_MS = 1000;

export class Silence {
  readonly #alert = new Alert();
  readonly #onChange: () => void;
  #heardAt = performance.now();
  #timer: ReturnType<typeof setInterval> | undefined;
  #seconds: number | null = null;

  constructor(onChange: () => void, signal: AbortSignal) {
    this.#onChange = onChange;
    signal.addEventListener("abort", () => clearInterval(this.#timer), { once: true });
  }

  node(): HTMLElement {
    return this.#alert.node();
  }

  /** For how long there has been silence, in seconds; null where there is none. */
  seconds(): number | null {
    return this.#seconds;
  }

  heard(): void {
    this.#heardAt = performance.now();
    this.#look();
  }

  /** Whether there is something to be heard. */
  watch(expected: boolean): void {
    if (expected === (this.#timer !== undefined)) return;
    clearInterval(this.#timer);
    this.#timer = expected ? setInterval(() => this.#look(), LOOK_EVERY_MS) : undefined;
    this.#heardAt = performance.now();
    this.#seconds = null;
    this.#alert.hide();
  }

  #look(): void {
    const age = (performance.now() - this.#heardAt) / 1000;
    const silent = this.#timer !== undefined && age > SILENT_AFTER_S ? Math.floor(age) : null;
    if (silent === this.#seconds) return;
    this.#seconds = silent;
    if (silent === null) this.#alert.hide();
    else {
      this.#alert.show(
        "The kernel is not heard from. ",
        "It may be held up or suspended, and will go on by itself. If it was restarted or has died, nothing is counted any more: run the cell again. What was counted last stays on show.",
      );
    }
    this.#onChange();
  }
}
