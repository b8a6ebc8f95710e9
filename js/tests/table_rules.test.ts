/** The table is sorted and filtered by the rules, and on the cases, that Python has as well. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { FIGURE_KEYS, type FigureKey, findFigure, isText } from "../src/reading/columns";
import {
  asSort,
  nextSort,
  type Sort,
  type SortValues,
  sortRows,
  textKey,
} from "../src/reading/row_order";
import {
  filteredKind,
  HAS_DEAD,
  hasTest,
  parseFilter,
  passes,
  withKind,
  withTest,
} from "../src/table/row_filter";

type Row = Readonly<Partial<Record<FigureKey, string | number | null>>>;

interface Rules {
  readonly rows: readonly Row[];
  readonly sorts: readonly { readonly sort: Sort | null; readonly rows: readonly number[] }[];
  readonly filters: readonly { readonly filter: string; readonly rows: readonly number[] }[];
  readonly refused: readonly { readonly filter: string; readonly nearest: string }[];
}

const RULES: Rules = JSON.parse(
  readFileSync(new URL("../../tests/fixtures/table_rules.json", import.meta.url), "utf8"),
);

function valuesOf(column: FigureKey): SortValues {
  if (isText(column)) return RULES.rows.map((row) => textKey(row[column] as string));
  return Float64Array.from(RULES.rows, (row) => (row[column] as number | null) ?? Number.NaN);
}

describe("sorting", () => {
  const network = RULES.rows.map((_, index) => index);

  it.each(RULES.sorts)("by $sort", ({ sort, rows }) => {
    const order =
      sort === null ? network : sortRows([...network], valuesOf(sort.column), sort.ascending);
    expect(order).toEqual(rows);
  });

  it("takes every column by its key and as DataFrames name it", () => {
    expect(findFigure("dead channels")).toBe("dead-channels");
    expect(findFigure("Inactive_Share")).toBe("share");
    expect(findFigure("response")).toBe("name");
    expect(findFigure("age")).toBeUndefined();
    for (const key of FIGURE_KEYS) expect(asSort({ column: key })?.column).toBe(key);
  });

  it("is the same for typed rows that came in any order", () => {
    const rows = Uint32Array.from(network).reverse();
    expect([...sortRows(rows, valuesOf("mean"), false)]).toEqual([2, 0, 4, 7, 8, 9, 1, 6, 5, 3]);
  });

  it("cycles: numbers descend first, texts ascend first, then back", () => {
    const first = nextSort(null, "mean");
    const second = nextSort(first, "mean");
    expect([first?.ascending, second?.ascending, nextSort(second, "mean")]).toEqual([
      false,
      true,
      null,
    ]);
    expect(nextSort(null, "name")).toEqual({ column: "name", ascending: true });
    expect(nextSort(first, "dead")).toEqual({ column: "dead", ascending: false });
  });

  it("takes from the host what is a sort, and nothing else", () => {
    expect(asSort({ column: "dead", ascending: false })).toEqual({
      column: "dead",
      ascending: false,
    });
    expect(asSort({ column: "name" })?.ascending).toBe(false);
    for (const none of [null, undefined, {}, "dead", { column: "age", ascending: true }]) {
      expect(asSort(none)).toBeNull();
    }
  });
});

describe("filtering", () => {
  it.each(RULES.filters)("by $filter", ({ filter, rows }) => {
    const parsed = parseFilter(filter);
    const shown = RULES.rows.flatMap((row, index) =>
      passes(
        parsed,
        (key) => row[key] as string,
        (key) => (row[key] as number | null) ?? Number.NaN,
      )
        ? [index]
        : [],
    );
    expect(shown).toEqual(rows);
  });

  it.each(RULES.refused)("is at fault by $filter", ({ filter, nearest }) => {
    const { fault, help } = parseFilter(filter);
    expect(help).toContain("dead-channels");
    expect(help).toMatch(nearest === "" ? /Figures are units,/ : `Figures are ${nearest},`);
    // A line or two of the narrowest table.
    expect(fault).not.toBe("");
    expect(fault.length).toBeLessThanOrEqual(80);
    expect(parseFilter(`"${filter}"`)).toMatchObject({ words: [filter], tests: [], fault: "" });
  });

  it("has its kind chosen from a list, beside what was typed", () => {
    expect(withKind('conv "a b"', "ReLU")).toBe('conv "a b" kind:ReLU');
    expect(withKind("kind:ReLU conv kind:GELU", "My kind")).toBe('conv kind:"My kind"');
    expect(withKind('kind:"My kind" conv', "")).toBe("conv");
    expect(filteredKind("conv kind:ReLU")).toBe("relu");
    expect(filteredKind("kind:ReLU kind:GELU")).toBe("");
    expect(filteredKind("conv")).toBe("");
  });

  it("has its tests switched on and off", () => {
    expect(withTest("conv", HAS_DEAD, true)).toBe("conv dead>0");
    expect(withTest("dead>0 conv", HAS_DEAD, true)).toBe("conv dead>0");
    expect(withTest("dead>0 conv", HAS_DEAD, false)).toBe("conv");
    expect([hasTest("a dead>0", HAS_DEAD), hasTest('"dead>0"', HAS_DEAD)]).toEqual([true, false]);
  });
});
