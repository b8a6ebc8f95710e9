/** What the selected units come to, in a line, and how to let go of them. */

import { formatBracket, formatInteger, formatShare, plural } from "../core/format";
import { summariseSelection } from "../core/unit_selection";
import type { UnitsInView } from "../core/units_in_view";
import { element, setText } from "./dom";

export class SelectionRow {
  readonly #text = element("span", { attributes: { role: "status" } });
  readonly #limit = element("span", { class: "iua-selection-limit" });
  readonly #node: HTMLElement;

  constructor(onClear: () => void, signal: AbortSignal) {
    const clear = element("button", {
      class: "iua-button iua-tool",
      text: "Clear",
      attributes: { type: "button", "aria-label": "clear the selection" },
    });
    clear.addEventListener("click", onClear, { signal });
    this.#node = element("div", { class: "iua-selection" }, this.#text, clear, this.#limit);
    this.#node.hidden = true;
  }

  /** Why fewer units were taken than asked for, or nothing. */
  tell(limit: string): void {
    setText(this.#limit, limit);
  }

  update(data: UnitsInView, selected: readonly number[]): void {
    // A single unit has its card.
    this.#node.hidden = selected.length < 2;
    if (this.#node.hidden) return;
    const { reading, units } = data;
    const { lower, upper } = reading;
    const all = summariseSelection(selected, lower, upper, units.probes, data.dead);
    const dead = formatBracket(all.dead, all.deadUpper, formatInteger);
    const share = formatBracket(all.share, all.shareUpper, formatShare);
    setText(
      this.#text,
      `${plural(all.units, "unit")} selected · ${dead} dead · on average ${share} inactive`,
    );
  }

  node(): HTMLElement {
    return this.#node;
  }
}
