import { describe, expect, it } from "vitest";
import {
  cellOf,
  describeUnit,
  foremostUnitIn,
  indexOf,
  layoutUnits,
  unitAt,
} from "../../src/reading/layout";

const SHAPES: readonly (readonly number[])[] = [
  [],
  [1],
  [7],
  [10],
  [512],
  [16, 64],
  [3, 1],
  [24, 9, 9],
  [5, 3, 7],
  [9, 1, 1],
  [6, 1, 40],
  [4, 2, 3, 5],
];

describe("layoutUnits", () => {
  for (const shape of SHAPES) {
    for (const aspect of [0.4, 1, 2.6]) {
      it(`puts every unit of (${shape}) in a cell of its own at aspect ${aspect}`, () => {
        const layout = layoutUnits(shape, aspect);
        const taken = new Set<string>();
        for (let unit = 0; unit < layout.units; unit++) {
          const { x, y } = cellOf(layout, unit);
          expect(x >= 0 && y >= 0 && x < layout.width && y < layout.height).toBe(true);
          expect(unitAt(layout, x + 0.5, y + 0.5)).toBe(unit);
          taken.add(`${x} ${y}`);
        }
        expect(taken.size).toBe(layout.units);
        let found = 0;
        for (let y = 0; y < layout.height; y++) {
          for (let x = 0; x < layout.width; x++) if (unitAt(layout, x, y) !== null) found++;
        }
        expect(found).toBe(layout.units);
      });
    }
  }

  it("names the form by the shape", () => {
    expect(layoutUnits([], 2).kind).toBe("grid");
    expect(layoutUnits([12], 2).kind).toBe("grid");
    expect(layoutUnits([12, 1, 1], 2).kind).toBe("grid");
    expect(layoutUnits([20_000, 2, 2], 2).kind).toBe("grid");
    expect(layoutUnits([12, 5], 2)).toMatchObject({ kind: "matrix", width: 5, height: 12 });
    expect(layoutUnits([12, 5, 4], 2)).toMatchObject({
      kind: "mosaic",
      tiles: 12,
      tileWidth: 4,
      tileHeight: 5,
    });
    expect(layoutUnits([2, 3, 4, 5], 2)).toMatchObject({ tiles: 2, tileWidth: 5, tileHeight: 12 });
  });

  it("fills the aspect of the view", () => {
    const wide = layoutUnits([10000], 4);
    expect(wide.width / wide.height).toBeCloseTo(4, 0);
    expect(layoutUnits([10], 2)).toMatchObject({ width: 5, height: 2 });
  });
});

describe("unitAt", () => {
  it("is null in gaps, in the empty end of a grid, and outside", () => {
    const mosaic = layoutUnits([4, 8, 8], 1);
    expect(mosaic.across).toBe(2);
    expect(unitAt(mosaic, 8.5, 1)).toBeNull();
    expect(unitAt(mosaic, 1, 8.5)).toBeNull();
    expect(unitAt(mosaic, 1, 9.5)).toBeNull();
    const grid = layoutUnits([7], 2);
    expect(unitAt(grid, grid.width - 0.5, grid.height - 0.5)).toBeNull();
    for (const [x, y] of [
      [-0.1, 0],
      [0, -0.1],
      [grid.width, 0],
      [0, grid.height],
      [Number.NaN, 0],
    ] as const) {
      expect(unitAt(grid, x, y)).toBeNull();
    }
  });
});

describe("foremostUnitIn", () => {
  it("finds the lone unit that ranks first in an area", () => {
    const layout = layoutUnits([3, 6, 6], 1);
    const levels = new Uint8Array(layout.units).fill(9);
    levels[50] = 1;
    const all = { x: layout.width, y: layout.height };
    const rankOf = (level: number): number => 255 - level;
    expect(foremostUnitIn(layout, levels, rankOf, { x: 0, y: 0 }, all)).toBe(50);
    expect(foremostUnitIn(layout, levels, rankOf, { x: 900, y: 0 }, { x: 901, y: 1 })).toBeNull();
  });
});

describe("words for a unit", () => {
  it("name it by the shape", () => {
    expect(describeUnit([], 0)).toBe("unit 0");
    expect(describeUnit([20], 17)).toBe("unit 17");
    expect(describeUnit([16, 64], 73)).toBe("row 1, column 9");
    expect(describeUnit([8, 6, 7], 3 * 42 + 4 * 7 + 5)).toBe("channel 3, row 4, column 5");
    expect(describeUnit([2, 3, 4, 5], 119)).toBe("channel 1, position (2, 3, 4)");
    expect(indexOf([2, 3, 4, 5], 60)).toEqual([1, 0, 0, 0]);
  });
});
