/** A layer's name in a cell: on two lines where it is long, with its beginning and its end. */

import { element, setAttribute, setText } from "./dom";

const TAIL = 11;
const TAIL_MOST = 28;
const SHORT = 22;
/** Hebrew to Arabic Extended, and the forms that present them. */
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;

/** Where a name is cut in two, before a dot if there is one: only the first part is shortened. */
export function tailStart(name: string): number {
  if (name.length <= SHORT || RIGHT_TO_LEFT.test(name)) return name.length;
  const dot = name.lastIndexOf(".", name.length - TAIL);
  const at = dot > 0 && dot >= name.length - TAIL_MOST ? dot : name.length - TAIL;
  const unit = name.charCodeAt(at);
  return unit >= 0xdc00 && unit < 0xe000 ? at + 1 : at;
}

export class LayerName {
  readonly #head = element("bdi", { class: "iua-name-head" });
  readonly #tail = element("bdi", { class: "iua-name-tail" });
  readonly #node = element("span", { class: "iua-layer-name" }, this.#head, this.#tail);

  update(label: string, full: string): void {
    const cut = tailStart(label);
    setText(this.#head, label.slice(0, cut));
    setText(this.#tail, label.slice(cut));
    this.#node.classList.toggle("iua-name-long", cut < label.length);
    setAttribute(this.#node, "title", full);
  }

  node(): HTMLElement {
    return this.#node;
  }
}
