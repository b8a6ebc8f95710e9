/** The table is sorted and filtered by the rules, and on the cases, that Python has as well. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { FIGURE_KEYS, type FigureKey, findFigure, isText, nameOf } from "../../src/reading/columns";
import { asSort, nextSort, type SortValues, sortRows, textKey } from "../../src/reading/row_order";
import {
  filteredKind,
  HAS_DEAD,
  hasTest,
  parseFilter,
  passes,
  withKind,
  withTest,
} from "../../src/table/row_filter";

type Row = Readonly<Record<string, string | number | null>>;

interface Rules {
  readonly rows: readonly Row[];
  readonly sorts: readonly { readonly sort: unknown; readonly rows: readonly number[] }[];
  readonly filters: readonly { readonly filter: string; readonly rows: readonly number[] }[];
  readonly refused: readonly { readonly filter: string; readonly nearest: string }[];
}

const RULES: Rules = JSON.parse(
  readFileSync(new URL("../../../tests/fixtures/table_rules.json", import.meta.url), "utf8"),
);

function valuesOf(column: FigureKey): SortValues {
  const name = nameOf(column);
  if (isText(column)) return RULES.rows.map((row) => textKey(row[name] as string));
  return Float64Array.from(RULES.rows, (row) => (row[name] as number | null) ?? Number.NaN);
}

describe("sorting", () => {
  const network = RULES.rows.map((_, index) => index);

  it.each(RULES.sorts)("by $sort", ({ sort: asked, rows }) => {
    const sort = asSort(asked);
    const order =
      sort === null ? network : sortRows([...network], valuesOf(sort.column), sort.ascending);
    expect(order).toEqual(rows);
  });

  it("takes every column as DataFrames name it, with blanks or hyphens", () => {
    expect(findFigure("dead channels")).toBe("dead-channels");
    expect(findFigure("Inactive_Share")).toBe("inactive-share");
    expect(findFigure("layer")).toBe("response");
    expect(findFigure("age")).toBeUndefined();
    for (const key of FIGURE_KEYS) {
      for (const column of [key, nameOf(key)]) expect(asSort({ column })?.column).toBe(key);
    }
  });

  it("is the same for typed rows that came in any order", () => {
    const rows = Uint32Array.from(network).reverse();
    expect([...sortRows(rows, valuesOf("mean-inactive"), false)]).toEqual([
      2, 0, 4, 7, 8, 9, 1, 6, 5, 3,
    ]);
  });

  it("cycles: numbers descend first, texts ascend first, then back", () => {
    const first = nextSort(null, "mean-inactive");
    const second = nextSort(first, "mean-inactive");
    expect([first?.ascending, second?.ascending, nextSort(second, "mean-inactive")]).toEqual([
      false,
      true,
      null,
    ]);
    expect(nextSort(null, "response")).toEqual({ column: "response", ascending: true });
    expect(nextSort(first, "dead-units")).toEqual({ column: "dead-units", ascending: false });
  });

  it("takes from the host what is a sort, and nothing else", () => {
    expect(asSort({ column: "dead units", ascending: false })).toEqual({
      column: "dead-units",
      ascending: false,
    });
    expect(asSort({ column: "response" })?.ascending).toBe(false);
    for (const none of [null, undefined, {}, "dead units", { column: "age", ascending: true }]) {
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
        (key) => row[nameOf(key)] as string,
        (key) => (row[nameOf(key)] as number | null) ?? Number.NaN,
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
    expect(withTest("conv", HAS_DEAD, true)).toBe("conv dead-units>0");
    expect(withTest("dead-units>0 conv", HAS_DEAD, true)).toBe("conv dead-units>0");
    expect(withTest("dead-units>0 conv", HAS_DEAD, false)).toBe("conv");
    expect([hasTest("a dead-units>0", HAS_DEAD), hasTest('"dead-units>0"', HAS_DEAD)]).toEqual([
      true,
      false,
    ]);
  });
});
