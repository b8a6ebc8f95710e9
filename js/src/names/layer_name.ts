/** A layer's name in a cell: what tells it from the others, with what all names share muted. */

import { element, setAttribute } from "../ui/dom";

const LINE_BREAKS = /[\n\v\f\r\u0085\u2028\u2029]/g;

export interface NameShown {
  /** What there is room for: see `names/short_names.ts`. */
  readonly form: string;
  /** The whole name. */
  readonly full: string;
  /** What all names begin and end with, where the form has it, too. */
  readonly beginning: string;
  readonly end: string;
}

export class LayerName {
  readonly #node = element("bdi", { class: "iua-layer-name" });
  #shown = "";

  update({ form, full, beginning, end }: NameShown): void {
    setAttribute(this.#node, "title", full);
    const whole = form === full && form.length > beginning.length + end.length;
    const from = whole ? beginning.length : 0;
    const to = form.length - (whole ? end.length : 0);
    const line = form.replace(LINE_BREAKS, "\ufffd"); // rows are of one height
    const key = JSON.stringify([line, from, to]);
    if (key === this.#shown) return;
    this.#shown = key;
    const shared = (text: string): Node[] =>
      text === "" ? [] : [element("span", { class: "iua-name-shared", text })];
    this.#node.replaceChildren(
      ...shared(line.slice(0, from)),
      document.createTextNode(line.slice(from, to)),
      ...shared(line.slice(to)),
    );
  }

  node(): HTMLElement {
    return this.#node;
  }
}
