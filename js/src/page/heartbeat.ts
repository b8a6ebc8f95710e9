/** Tells whether the kernel is there, is known to be gone, or has been silent for too long. */

import { computed, type ReadonlySignal, signal } from "@preact/signals-core";

/** The kernel gives a sign of life every 3 s while a run goes on or is paused, and answers commands. */
const SILENT_AFTER_S = 9;
const LOOK_EVERY_MS = 500;
/** A page that was hidden or asleep looks late, and has not read what came meanwhile. */
const LATE_LOOK_MS = 3000;

/** "gone" is known, "silent" may pass. */
export type Contact = "there" | "silent" | "gone";

export class Heartbeat {
  readonly #gone = signal(false);
  readonly #silentFor = signal<number | null>(null);
  #expected = false;
  #asked = false;
  #heardAt = 0;
  #lookedAt = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  /** For how many seconds a kernel that is not known to be gone has been silent; null where it is not. */
  readonly silentFor = computed(() => (this.#gone.value ? null : this.#silentFor.value));
  readonly contact: ReadonlySignal<Contact> = computed(() => {
    if (this.#gone.value) return "gone";
    return this.#silentFor.value === null ? "there" : "silent";
  });

  constructor(abort: AbortSignal) {
    abort.addEventListener("abort", () => clearInterval(this.#timer), { once: true });
  }

  heard(): void {
    this.#asked = false;
    this.#heardAt = performance.now();
    this.#listen();
  }

  /** The kernel was asked for something, and tells of it even where it has nothing to do. */
  asked(): void {
    this.#asked = true;
    this.#listen();
  }

  /** `expected`: whether there is something to be heard; `gone`: whether the kernel is known to be. */
  watch(expected: boolean, gone: boolean): void {
    this.#expected = expected;
    this.#gone.value = gone;
    if (gone) this.#asked = false;
    this.#listen();
  }

  #listen(): void {
    const listening = !this.#gone.peek() && (this.#expected || this.#asked);
    if (listening !== (this.#timer !== undefined)) {
      clearInterval(this.#timer);
      this.#timer = listening ? setInterval(() => this.#look(), LOOK_EVERY_MS) : undefined;
      this.#heardAt = this.#lookedAt = performance.now();
    }
    this.#measure();
  }

  #look(): void {
    const now = performance.now();
    if (now - this.#lookedAt > LATE_LOOK_MS) this.#heardAt = now;
    this.#lookedAt = now;
    this.#measure();
  }

  #measure(): void {
    const age = (performance.now() - this.#heardAt) / 1000;
    const silent = this.#timer !== undefined && age >= SILENT_AFTER_S;
    this.#silentFor.value = silent ? Math.floor(age) : null;
  }
}
