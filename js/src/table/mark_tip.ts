/** What a mark in a row means, shown while it is pointed at or has the focus. */

import { element } from "../ui/dom";
import type { LayerWarning } from "./layer_warnings";

export class MarkTip {
  readonly #node = element("div", {
    class: "iua-tooltip iua-mark-tip",
    attributes: { "aria-hidden": "true" },
  });

  constructor() {
    this.#node.hidden = true;
  }

  /** Beside a mark, within `home`, whose box the tip is placed in. */
  show(mark: HTMLElement, warnings: readonly LayerWarning[], home: HTMLElement): void {
    this.#node.replaceChildren(...warnings.map(({ text }) => element("p", { text })));
    this.#node.hidden = false;
    const box = home.getBoundingClientRect();
    const at = mark.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.#node;
    const left = Math.max(4, Math.min(at.left - box.left, box.width - width - 4));
    const below = at.bottom - box.top + 6;
    const top = below + height > box.height ? at.top - box.top - height - 6 : below;
    this.#node.style.left = `${left}px`;
    this.#node.style.top = `${top}px`;
  }

  /** Whether there was one to hide. */
  hide(): boolean {
    const shown = !this.#node.hidden;
    this.#node.hidden = true;
    return shown;
  }

  node(): HTMLElement {
    return this.#node;
  }
}
