/** Notes about the data: those on NaN and infinities in sight, the others behind a button. */

import { plural } from "../reading/format";
import { element, setAttribute, setText } from "../ui/dom";

/** What the note on NaN and infinities begins with: see `iua_widget/reading/notes.py`. */
const LOUD = "Not finite:";

function warning(text: string): HTMLElement {
  const rest = document.createTextNode(text.slice(LOUD.length));
  const loud = element("strong", { text: LOUD });
  return element("p", { class: "iua-warning", attributes: { role: "note" } }, loud, rest);
}

export class Notes {
  readonly #button = element("button", {
    class: "iua-button iua-notes-button iua-opens",
    attributes: { type: "button", "aria-expanded": "false" },
  });
  readonly #warnings = element("div");
  readonly #quiet = element("div");
  readonly #node = element("div", {}, this.#warnings, this.#quiet);
  #shown = "[]";

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

  update(notes: readonly string[]): void {
    const key = JSON.stringify(notes);
    if (key === this.#shown) return;
    this.#shown = key;
    const quiet = notes.filter((text) => !text.startsWith(LOUD));
    this.#warnings.replaceChildren(
      ...notes.filter((text) => text.startsWith(LOUD)).map((text) => warning(text)),
    );
    this.#quiet.replaceChildren(...quiet.map((text) => element("p", { class: "iua-note", text })));
    setText(this.#button, plural(quiet.length, "note"));
    this.#button.title = quiet.join("\n");
    this.#button.hidden = quiet.length === 0;
    if (quiet.length === 0) this.#open(false);
  }

  /** Opens and closes the notes that are not loud. */
  button(): HTMLElement {
    return this.#button;
  }

  node(): HTMLElement {
    return this.#node;
  }
}
