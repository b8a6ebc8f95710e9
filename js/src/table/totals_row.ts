/** The last line of the table: all rows on show together. */

import { formatInteger, plural } from "../reading/format";
import type { Totals } from "../reading/table_reading";
import { element, setText } from "../ui/dom";
import { NUMERIC_CELLS } from "./column_fit";
import { NumberCell } from "./number_cell";

export class TotalsRow {
  readonly #layers = element("th", {
    class: "iua-name",
    attributes: { scope: "row", "data-column": "response" },
  });
  readonly #cells = [...NUMERIC_CELLS, "units" as const].map((key) => ({
    key,
    cell: new NumberCell(key),
  }));
  readonly #node: HTMLTableRowElement;

  constructor() {
    const { cell: units } = this.#cells.find(({ key }) => key === "units") as {
      cell: NumberCell;
    };
    this.#node = element(
      "tr",
      { class: "iua-totals" },
      this.#layers,
      element("td", { attributes: { "data-column": "kind" } }),
      units.node(),
      ...this.#cells.filter(({ key }) => key !== "units").map(({ cell }) => cell.node()),
      element("td", { attributes: { "data-column": "share-over-tolerance" } }),
    );
  }

  /** Totals of the rows on show, of `all` layers. */
  update(totals: Totals, all: number): void {
    const some =
      totals.layers === all
        ? all === 1
          ? "1 layer"
          : `all ${plural(all, "layer")}`
        : `${formatInteger(totals.layers)} of ${plural(all, "layer")}`;
    setText(this.#layers, some);
    for (const { key, cell } of this.#cells) {
      const exact = totals.exact && key !== "dormant";
      cell.update(totals.value(key, "lower"), totals.value(key, "upper"), exact);
    }
  }

  node(): HTMLTableRowElement {
    return this.#node;
  }
}
