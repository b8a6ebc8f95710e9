/** A live region that tells screen readers what has changed. */

import { element, setText } from "../ui/dom";

const PAUSE_MS = 500;

export class Announcer {
  readonly #node = element("span", { class: "iua-hidden", attributes: { role: "status" } });
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(signal: AbortSignal) {
    signal.addEventListener("abort", () => clearTimeout(this.#timer), { once: true });
  }

  say(text: string): void {
    setText(this.#node, text);
  }

  /** Say what there is to say once nothing more is typed. */
  sayAfterPause(text: () => string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.say(text()), PAUSE_MS);
  }

  node(): HTMLElement {
    return this.#node;
  }
}
