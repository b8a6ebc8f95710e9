/** Notes about the data: warnings in sight, the others behind a button. */

import { plural } from "../reading/format";
import { element, setAttribute, setText } from "../ui/dom";

/** A note in sight, with its first words, up to a colon, in bold. */
function warning(text: string): HTMLElement {
  const words = text.indexOf(":") + 1;
  const first = element("strong", { text: text.slice(0, words) });
  const rest = document.createTextNode(text.slice(words));
  return element("p", { class: "iua-warning", attributes: { role: "note" } }, first, rest);
}

export class Notes {
  readonly #button = element("button", {
    class: "iua-button iua-notes-button iua-opens",
    attributes: { type: "button", "aria-expanded": "false" },
  });
  readonly #warnings = element("div");
  readonly #quiet = element("div");
  readonly #node = element("div", {}, this.#warnings, this.#quiet);
  #shown = "";

  constructor(signal: AbortSignal) {
    this.#button.hidden = this.#quiet.hidden = true;
    this.#button.addEventListener("click", () => this.#open(this.#quiet.hidden !== false), {
      signal,
    });
  }

  #open(open: boolean): void {
    this.#quiet.hidden = !open;
    setAttribute(this.#button, "aria-expanded", String(open));
  }

  update(notes: readonly string[], warnings: readonly string[]): void {
    const key = JSON.stringify([notes, warnings]);
    if (key === this.#shown) return;
    this.#shown = key;
    const quiet = notes.filter((text) => !warnings.includes(text));
    this.#warnings.replaceChildren(...warnings.map((text) => warning(text)));
    this.#quiet.replaceChildren(...quiet.map((text) => element("p", { class: "iua-note", text })));
    setText(this.#button, plural(quiet.length, "note"));
    this.#button.title = quiet.join("\n");
    this.#button.hidden = quiet.length === 0;
    if (quiet.length === 0) this.#open(false);
  }

  /** Opens and closes the notes that are no warnings. */
  button(): HTMLElement {
    return this.#button;
  }

  node(): HTMLElement {
    return this.#node;
  }
}
