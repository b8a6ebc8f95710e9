/** The legend of the curve, with its values at the tolerances in force. */

import { ShortNames } from "../names/short_names";
import { widthIn } from "../names/text_width";
import { formatBracket, formatShare, NOTHING } from "../reading/format";
import { areNamed } from "../reading/same_items";
import type { LayerMeta } from "../reading/snapshot";
import { element, setAttribute, setText } from "../ui/dom";
import type { Bounds, InForce } from "./share_curves";

/** In CSS pixels: nearly two lines of the legend. */
const ROOM = 300;

export function shareText([low, high]: Bounds): string {
  return formatBracket(low, high, formatShare);
}

export class CurveLegend {
  readonly #name = element("bdi", { class: "iua-curve-layer" });
  readonly #inactive = element("b", { class: "iua-key-value" });
  readonly #dead = element("b", { class: "iua-key-value" });
  readonly #node: HTMLElement;
  #names: readonly string[] = [];
  #forms: readonly string[] = [];

  constructor() {
    const key = (kind: string, text: string, ...value: Node[]): HTMLElement =>
      element("span", { class: `iua-key iua-key-${kind}` }, element("span", { text }), ...value);
    this.#node = element(
      "div",
      { class: "iua-curve-legend" },
      this.#name,
      key("inactive", "inactive", this.#inactive),
      key("dead", "dead", this.#dead),
      key("all", "all layers"),
    );
  }

  update(layers: readonly LayerMeta[], index: number, inForce: InForce | null): void {
    if (!areNamed(layers, this.#names)) {
      this.#names = layers.map(({ name }) => name);
      this.#forms = new ShortNames(this.#names).within(ROOM, widthIn(this.#name, 600));
    }
    this.#say(this.#forms[index] ?? "");
    setAttribute(this.#name, "title", this.#names[index] ?? "");
    setText(this.#inactive, inForce === null ? NOTHING : shareText(inForce.inactive));
    setText(this.#dead, inForce === null ? NOTHING : shareText(inForce.dead));
  }

  /** On two lines it parts where its parts do. */
  #say(name: string): void {
    if (name === this.#name.textContent) return;
    const parts = name.split(/(?=[./])/);
    this.#name.replaceChildren(
      ...parts.flatMap((part) => [element("wbr"), document.createTextNode(part)]),
    );
  }

  node(): HTMLElement {
    return this.#node;
  }
}
