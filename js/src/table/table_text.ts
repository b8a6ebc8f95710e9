/** The table as tab-separated text, for a spreadsheet. */

import type { Row } from "../names/module_tree";
import { type Column, isText, type NumericKey, nameOf } from "../reading/columns";
import type { Side, TableReading } from "../reading/table_reading";

function numberText(value: number): string {
  return Number.isNaN(value) ? "" : String(value);
}

function plain(text: string): string {
  return text.replace(/[\t\r\n]+/g, " ");
}

/**
 * Rows and columns as they are on show, numbers in full. Where a figure lies between two bounds, a
 * column of the upper ones follows, named as in DataFrames: "dead units upper".
 */
export function tableText(
  reading: TableReading,
  rows: readonly Row[],
  columns: readonly Column[],
): string {
  const texts = columns.filter((column) => column.key !== "share-over-tolerance");
  const totals = rows.map((row) => row.group && reading.totals(row.group.layers));
  const value = (at: number, key: NumericKey, side: Side): number =>
    totals[at]?.value(key, side) ?? reading.value((rows[at] as Row).layer, key, side);
  const between = new Set(
    texts.filter(
      ({ key }) =>
        !isText(key) &&
        key !== "std-inactive" &&
        rows.some((_, at) => value(at, key, "lower") < value(at, key, "upper")),
    ),
  );
  const heading = ({ key }: Column): string =>
    key === "dormant" ? `dormant (tau ${reading.tau})` : nameOf(key);
  const head = texts.flatMap((column) =>
    between.has(column) ? [heading(column), `${heading(column)} upper`] : [heading(column)],
  );
  const body = rows.map((row, at) =>
    texts.flatMap((column) => {
      const { key } = column;
      if (key === "response") return [plain(row.group?.path ?? reading.meta(row.layer).name)];
      if (key === "kind") return [row.group === null ? plain(reading.meta(row.layer).kind) : ""];
      const cell = (side: Side): string => numberText(value(at, key, side));
      return between.has(column) ? [cell("lower"), cell("upper")] : [cell("lower")];
    }),
  );
  return [head, ...body].map((cells) => `${cells.join("\t")}\n`).join("");
}
