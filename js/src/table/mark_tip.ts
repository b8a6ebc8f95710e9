/** The meaning of a mark in a row, shown while it is pointed at or has the focus. */

import { element } from "../ui/dom";
import type { LayerWarning } from "./layer_warnings";
import type { TableBody } from "./table_body";

export class MarkTip {
  readonly #node = element("div", {
    class: "iua-tooltip iua-mark-tip",
    attributes: { "aria-hidden": "true" },
  });

  constructor(body: TableBody, signal: AbortSignal) {
    this.#node.hidden = true;
    const node = body.node();
    const point = (event: Event): void => {
      const mark = (event.target as Element).closest<HTMLElement>(".iua-mark");
      const row = mark === null ? undefined : body.rowOf(mark);
      if (mark === null || row === undefined) this.hide();
      else this.#show(mark, row.warnings);
    };
    for (const name of ["pointerover", "focusin"]) node.addEventListener(name, point, { signal });
    for (const name of ["pointerleave", "focusout"]) {
      node.addEventListener(name, () => this.hide(), { signal });
    }
  }

  /** Beside a mark, within the box that the tip is placed in. */
  #show(mark: HTMLElement, warnings: readonly LayerWarning[]): void {
    this.#node.replaceChildren(...warnings.map(({ text }) => element("p", { text })));
    this.#node.hidden = false;
    const box = (this.#node.parentElement as HTMLElement).getBoundingClientRect();
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
