/** The totals row: all rows on show together. */

import type { ColumnKey } from "../reading/columns";
import { formatInteger, plural } from "../reading/format";
import type { Totals } from "../reading/table_reading";
import { element, setText } from "../ui/dom";
import { cellsInOrder, isExactWithRow, numberCells } from "./number_cell";
import { hideOthers } from "./table_columns";

export class TotalsRow {
  readonly #layers = element("th", {
    class: "iua-name",
    attributes: { scope: "row", "data-column": "response" },
  });
  readonly #numbers = numberCells();
  readonly #cells = cellsInOrder(this.#numbers, {
    response: this.#layers,
    kind: element("td", { attributes: { "data-column": "kind" } }),
    "share-over-tolerance": element("td", {
      attributes: { "data-column": "share-over-tolerance" },
    }),
  });
  readonly #node = element("tr", {}, ...this.#cells.values());

  showColumns(shown: ReadonlySet<ColumnKey>): void {
    hideOthers(this.#cells, shown);
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
    for (const [key, cell] of this.#numbers) {
      const exact = totals.exact && isExactWithRow(key);
      cell.update(totals.value(key, "lower"), totals.value(key, "upper"), exact);
    }
  }

  node(): HTMLTableRowElement {
    return this.#node;
  }
}
