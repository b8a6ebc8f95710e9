/** The smaller parts of the layer table: widths, the window of rows, words, text to copy. */

import { describe, expect, it } from "vitest";
import { COLUMNS, type ColumnKey } from "../../src/reading/columns";
import type { LayerMeta } from "../../src/reading/snapshot";
import { TableReading } from "../../src/reading/table_reading";
import { type ColumnWidths, columnWidths, fitColumns } from "../../src/table/column_fit";
import { layerWarnings } from "../../src/table/layer_warnings";
import { RowList } from "../../src/table/row_list";
import { rowsToMake, rowWindow, scrollFor } from "../../src/table/row_window";
import { tableText } from "../../src/table/table_text";
import { TypeToFind } from "../../src/table/type_to_find";
import { layerMeta } from "../helpers/pack";
import { tableOf } from "../helpers/tables";

function meta(changes: object = {}): LayerMeta {
  return layerMeta("relu", 40, changes) as LayerMeta;
}

describe("widths of columns", () => {
  const widths = columnWidths([meta(), meta({ units: 802816, kind: "NewGELUActivation" })]);
  const fitIn = (
    box: number,
    own: [ColumnKey, number][] = [],
    choice: [ColumnKey, boolean][] = [],
  ) => fitColumns(widths, new Map(own), new Map(choice), box, 8, 14);

  it("have room for a range of the largest numbers", () => {
    expect(widths["dead-units"]).toBeGreaterThan(12);
    expect(columnWidths([meta()])["dead-units"]).toBeLessThan(8);
    expect(columnWidths([])["dead-units"]).toBeGreaterThan(5);
  });

  it("leaves room for totals, shapes and dead channels", () => {
    const widths = columnWidths([
      meta({ units: 9216, shape: [2048, 12, 12], response_shape: [2048, 12, 12], channels: 2048 }),
      ...Array.from({ length: 99 }, () => meta({ units: 99_999 })),
    ]);
    expect(widths.units).toBeGreaterThan("9,909,117".length);
    expect(widths.units).toBeGreaterThan(0.75 * "2048 × 12 × 12".length);
    expect(widths["dead-units"]).toBeGreaterThan(0.75 * "999 of 2,048 channels".length);
  });

  it("fill the box exactly, the name taking what is left", () => {
    const { widths: pixels, total, shown, squeezed } = fitIn(2000);
    expect(total).toBe(2000);
    expect([...pixels.values()].reduce((sum, width) => sum + width, 0)).toBe(2000);
    expect([...shown].sort()).toEqual([
      "dead-share",
      "dead-units",
      "dormant",
      "inactive-share",
      "kind",
      "mean-inactive",
      "response",
      "share-over-tolerance",
      "std-inactive",
      "units",
    ]);
    expect(squeezed).toBe(0);
  });

  it("are those of load only where there are experts", () => {
    const hasLoad = (widths: ColumnWidths, asked: [ColumnKey, boolean][] = []) =>
      fitColumns(widths, new Map(), new Map(asked), 2000, 8, 14).shown.has("load");
    const routed = columnWidths([meta(), meta({ load: 0, probes: 0 })]);
    expect(hasLoad(routed)).toBe(true);
    expect(hasLoad(routed, [["load", false]])).toBe(false);
    expect(hasLoad(widths)).toBe(false);
    expect(hasLoad(widths, [["load", true]])).toBe(false);
  });

  it("leave out the least important where there is no room, never the name", () => {
    const small = fitIn(396);
    expect([...small.shown]).toEqual(["response", "dead-units", "inactive-share"]);
    expect(small.squeezed).toBe(7);
    expect(small.total).toBe(396);
    expect([...fitIn(50).shown]).toEqual(["response"]);
    // What a row is of no use without gives way to the name, down to its number; then the name does.
    for (const box of [340, 300, 270]) {
      const tight = fitIn(box);
      expect([...tight.shown]).toEqual(["response", "dead-units", "inactive-share"]);
      expect(tight.widths.get("inactive-share")).toBe(8.5 * 8 + 14);
      expect(tight.widths.get("dead-units")).toBe(9 * 8 + 14);
      expect(tight.total).toBe(box);
    }
  });

  it("tell what died and what revived, before shares, where there is a result before", () => {
    const compared = columnWidths([meta()], true);
    const { shown } = fitColumns(compared, new Map(), new Map(), 340, 8, 14);
    expect([...shown]).toEqual(["response", "dead-units", "newly-dead", "revived"]);
  });

  it("keep to what the user chose, even where it does not fit", () => {
    const chosen = fitIn(
      396,
      [["std-inactive", 20]],
      [
        ["std-inactive", true],
        ["inactive-share", false],
        ["dead-units", false],
      ],
    );
    expect([...chosen.shown]).toEqual(["response", "std-inactive"]);
    expect(chosen.widths.get("std-inactive")).toBe(174);
    expect(
      fitIn(
        300,
        [],
        [
          ["mean-inactive", true],
          ["dead-units", true],
        ],
      ).total,
    ).toBeGreaterThan(300);
  });
});

describe("the window of rows", () => {
  it("is what is in view and a few around, within what there is", () => {
    expect(rowWindow(0, 340, 34, 2000, 6)).toEqual({ first: 0, end: 16 });
    expect(rowWindow(34_000, 340, 34, 2000, 6)).toEqual({ first: 994, end: 1016 });
    expect(rowWindow(67_700, 340, 34, 2000, 6)).toEqual({ first: 1985, end: 2000 });
    expect(rowWindow(90_000, 340, 34, 100, 6)).toEqual({ first: 100, end: 100 });
    expect(rowWindow(0, 0, 0, 3, 6)).toEqual({ first: 0, end: 3 });
  });

  it("has the row with the focus, too", () => {
    expect(rowsToMake({ first: 5, end: 8 }, -1)).toEqual([5, 6, 7]);
    expect(rowsToMake({ first: 5, end: 8 }, 6)).toEqual([5, 6, 7]);
    expect(rowsToMake({ first: 5, end: 8 }, 1)).toEqual([1, 5, 6, 7]);
    expect(rowsToMake({ first: 5, end: 8 }, 9)).toEqual([5, 6, 7, 9]);
  });

  it("is scrolled no further than a row needs", () => {
    expect(scrollFor(5, 30, 0, 300)).toBe(0);
    expect(scrollFor(10, 30, 0, 300)).toBe(30);
    expect(scrollFor(2, 30, 300, 300)).toBe(60);
  });
});

describe("typing to find", () => {
  const names = ["conv1", "relu", "conv2", "block.conv3", "Relu6"];
  const type = (find: TypeToFind, text: string, at: number, from: number): number =>
    [...text].reduce(
      (current, character, index) =>
        find.find(character, at + 50 * index, names.length, current, (row) => names[row] as string),
      from,
    );

  it("goes to the next name that begins so, or else has it", () => {
    expect(type(new TypeToFind(), "r", 0, 0)).toBe(1);
    expect(type(new TypeToFind(), "relu6", 0, 0)).toBe(4);
    expect(type(new TypeToFind(), "conv3", 0, 0)).toBe(3);
    expect(type(new TypeToFind(), "q", 0, 0)).toBe(-1);
  });

  it("goes on from one to the next by the same letter, and forgets after a while", () => {
    const find = new TypeToFind();
    expect(type(find, "rr", 0, 0)).toBe(4);
    expect(find.typing(500)).toBe(true);
    expect(find.typing(5000)).toBe(false);
    expect(type(find, "c", 5000, 4)).toBe(0);
  });
});

describe("warnings", () => {
  const context = { stops: 71, broken: false, deadShare: 0, alarm: 0.5 };
  const marks = (changes: object, more: object = {}): string[] =>
    layerWarnings(meta(changes), { ...context, ...more }).map(({ mark }) => mark);

  it("are none where all is well", () => {
    expect(marks({})).toEqual([]);
  });

  it("name what is wrong, the worst first", () => {
    expect(marks({ nan: 3, masked: 5 }, { deadShare: 0.5 })).toEqual(["NaN", "dead", "mask"]);
    expect(marks({ infinite: 3 })).toEqual(["inf"]);
    expect(marks({ nan: 3 }, { broken: true })).toEqual(["all NaN"]);
    expect(marks({ probes: 0, stops: 12 }, { deadShare: Number.NaN })).toEqual([
      "no input",
      "memory",
    ]);
    expect(marks({ probes: 0, masked: 4 }, { deadShare: Number.NaN })).toEqual([
      "all padding",
      "mask",
    ]);
  });

  it("explain themselves", () => {
    const [nan, dead] = layerWarnings(meta({ nan: 1200, infinite: 1 }), {
      ...context,
      deadShare: 0.75,
    });
    expect(nan?.text).toContain("1,200 NaN and 1 infinite responses");
    expect(dead?.text).toContain("75.0 % of the units are dead, at least the 50.0 %");
    const reasons = [{ dtype: "" }, {}, { masked: 4 }, { load: 0 }].map((changes) => {
      const [none] = layerWarnings(meta({ probes: 0, ...changes }), context);
      return none?.text;
    });
    expect(reasons).toEqual([
      "No probe reached it: it was not called.",
      "No probe reached it: whenever it was called, no row was given.",
      "No probe reached it: all its positions are padding, as the mask of the batches says.",
      "No probe reached it: no token was routed to this expert.",
    ]);
  });
});

describe("the text that is copied", () => {
  const table = tableOf([
    { name: "a.x\ty", units: 4, mean: [1, 2, 3, 4], dead: [0, 1, 2, 4] },
    { name: "a.z", units: 4, mean: [0, 0, 1, 4], dead: [0, 0, 0, 4] },
    { name: "late", units: 2, mean: [0, 0, 0, 0], dead: [0, 0, 0, 0], meta: { probes: 0 } },
  ]);
  const copied = (atol: number, keys: readonly string[], tree = false): string => {
    const reading = new TableReading(table).read({
      atol,
      rtol: 0,
      scale: "zero",
      dead_at: 1,
      tau: 0.025,
    });
    const list = new RowList();
    const sort = { column: "dead-units", ascending: true } as const;
    list.update(reading, { sort, filter: "", tree }, false);
    return tableText(
      reading,
      list.rows,
      COLUMNS.filter(({ key }) => keys.includes(key)),
    );
  };

  it("has the rows in their order, numbers in full, nothing for no number", () => {
    expect(
      copied(0.1, ["response", "kind", "inactive-share", "dead-units", "share-over-tolerance"]),
    ).toBe(
      "response\tkind\tinactive share\tdead units\na.z\tReLU\t0\t0\na.x y\tReLU\t0.5\t1\nlate\tReLU\t\t\n",
    );
  });

  it("has both bounds between stops", () => {
    expect(copied(0.5, ["response", "units", "dead-units"])).toBe(
      "response\tunits\tdead units\tdead units upper\na.z\t4\t0\t0\na.x y\t4\t1\t2\nlate\t2\t\t\n",
    );
  });

  it("has groups where rows are grouped", () => {
    expect(copied(0.1, ["response", "units", "dead-units"], true)).toBe(
      "response\tunits\tdead units\na\t8\t1\na.z\t4\t0\na.x y\t4\t1\nlate\t2\t\n",
    );
  });
});
