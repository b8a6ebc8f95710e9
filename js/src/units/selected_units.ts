/** The selected units: their figures together in a line, and each of them in a list. */

import { formatCounts, formatShares, plural } from "../reading/format";
import { summarizeSelection } from "../reading/unit_selection";
import type { UnitsInView } from "../reading/units_in_view";
import { element, setText } from "../ui/dom";
import type { UnitChoice } from "./unit_choice";
import { UnitList, type UnitListOptions } from "./unit_list";

interface SelectedUnitsOptions extends UnitListOptions {
  readonly onClear: () => void;
}

const NONE =
  "No unit is selected. Click one in the picture, or draw a rectangle around several with Shift held.";

export class SelectedUnits {
  readonly #text = element("span", { attributes: { role: "status" } });
  readonly #limit = element("span", { class: "iua-selection-limit" });
  readonly #row: HTMLElement;
  readonly #nothing = element("p", { class: "iua-nothing-listed", text: NONE });
  readonly #list: UnitList;
  readonly #node: HTMLElement;

  constructor(options: SelectedUnitsOptions, signal: AbortSignal) {
    const clear = element("button", {
      class: "iua-button iua-tool",
      text: "Clear",
      attributes: { type: "button", "aria-label": "clear the selection" },
    });
    clear.addEventListener("click", options.onClear, { signal });
    this.#list = new UnitList(options, signal, "selected units");
    this.#row = element("div", { class: "iua-selection" }, this.#text, this.#limit, clear);
    this.#node = element(
      "div",
      { class: "iua-selected-units" },
      this.#row,
      this.#list.node(),
      this.#nothing,
    );
    this.clear();
  }

  /** Why fewer units were taken than asked for, or nothing. */
  tell(limit: string): void {
    setText(this.#limit, limit);
  }

  clear(): void {
    this.#toggle(false);
  }

  #toggle(some: boolean): void {
    this.#row.hidden = !some;
    this.#list.node().hidden = !some;
    this.#nothing.hidden = some;
  }

  update(data: UnitsInView, choice: UnitChoice): void {
    const { selected } = choice;
    this.#toggle(selected.length > 0);
    if (selected.length === 0) return;
    const { reading, units } = data;
    const all = summarizeSelection(selected, reading.lower, reading.upper, units.probes, data.dead);
    const dead = formatCounts(all.dead, all.deadUpper);
    const share = formatShares(all.share, all.shareUpper);
    const average = all.units > 1 ? "on average " : "";
    setText(
      this.#text,
      `${plural(all.units, "unit")} selected · ${dead} dead · ${average}${share} inactive`,
    );
    this.#list.update(data, choice, selected);
  }

  node(): HTMLElement {
    return this.#node;
  }
}
