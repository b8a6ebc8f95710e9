/** Lines about the data, as Python says them: loud where responses are not finite, else quiet. */

import { element } from "./dom";

/** What the note on NaN and infinities begins with: see `iua_widget/notes.py`. */
const LOUD = "Not finite:";

function line(text: string): HTMLElement {
  if (!text.startsWith(LOUD)) return element("p", { class: "iua-note", text });
  const rest = document.createTextNode(text.slice(LOUD.length));
  const loud = element("strong", { text: LOUD });
  return element("p", { class: "iua-warning", attributes: { role: "note" } }, loud, rest);
}

export class Notes {
  readonly #node = element("div", { class: "iua-note-box iua-notes" });
  #shown = "";

  update(notes: readonly string[]): void {
    const key = JSON.stringify(notes);
    if (key !== this.#shown) {
      this.#shown = key;
      this.#node.replaceChildren(...notes.map(line));
    }
    this.#node.hidden = notes.length === 0;
  }

  node(): HTMLElement {
    return this.#node;
  }
}
