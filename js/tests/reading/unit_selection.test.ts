/** Selecting units: by a rectangle, one by one, and what they come to; and their outlines. */

import { describe, expect, it } from "vitest";
import { type Box, clearMarks, drawContour, markUnits } from "../../src/canvas/contour";
import { DeadRule } from "../../src/reading/dead_rule";
import { cellOf, fromOwnIndex, layoutUnits, ownIndex, unitsIn } from "../../src/reading/layout";
import { summarizeSelection, toggled, united } from "../../src/reading/unit_selection";

describe("unitsIn", () => {
  const rectangles = [
    [0, 0, 5, 5],
    [2.4, 3.1, 2.5, 3.2],
    [-4, -4, 1000, 1000],
    [7.5, 2.5, 23.5, 17.25],
    [12, 9, 12, 9],
  ] as const;
  for (const shape of [[77], [12, 30], [9, 6, 8], [4, 2, 3, 5]]) {
    for (const [left, top, right, bottom] of rectangles) {
      it(`finds units of (${shape}) from ${left}, ${top} to ${right}, ${bottom}`, () => {
        const layout = layoutUnits(shape, 1.5);
        const expected: number[] = [];
        for (let unit = 0; unit < layout.units; unit++) {
          const { x, y } = cellOf(layout, unit);
          const touched =
            x >= Math.floor(left) &&
            x < Math.ceil(right) &&
            y >= Math.floor(top) &&
            y < Math.ceil(bottom);
          if (touched) expected.push(unit);
        }
        const found = unitsIn(layout, { x: left, y: top }, { x: right, y: bottom }, 1e9);
        expect([...found.units].sort((a, b) => a - b)).toEqual(expected);
        expect(found.total).toBe(expected.length);
        const few = unitsIn(layout, { x: left, y: top }, { x: right, y: bottom }, 3);
        expect(few.units).toEqual(found.units.slice(0, 3));
        expect(few.total).toBe(expected.length);
      });
    }
  }
});

describe("selections", () => {
  it("take in and let go", () => {
    expect(toggled([3, 9], 5)).toEqual([3, 5, 9]);
    expect(toggled([3, 5, 9], 5)).toEqual([3, 9]);
    expect(toggled([], 11)).toEqual([11]);
    expect(united([3, 20], [1, 3, 100])).toEqual([1, 3, 20, 100]);
  });

  it("come to a sum", () => {
    const lower = Uint8Array.from([0, 5, 10, 9, 10]);
    const upper = Uint8Array.from([2, 5, 10, 10, 10]);
    expect(summarizeSelection([0, 2, 3], lower, upper, 10, new DeadRule(1, 10))).toEqual({
      units: 3,
      dead: 1,
      deadUpper: 2,
      share: 19 / 30,
      shareUpper: 22 / 30,
    });
  });
});

describe("fromOwnIndex", () => {
  it("is the inverse of ownIndex", () => {
    for (const [shape, axis] of [
      [[3, 4, 5], 0],
      [[3, 4, 5], 1],
      [[3, 4, 5], 2],
      [[3, 2, 4, 5], 3],
      [[3, 2, 4, 5], 2],
    ] as const) {
      const units = shape.reduce((all, size) => all * size, 1);
      const seen = new Set<number>();
      for (let unit = 0; unit < units; unit++) {
        const own = ownIndex(shape, axis, unit);
        expect(fromOwnIndex(shape, axis, own)).toBe(unit);
        seen.add(own);
      }
      expect(seen.size).toBe(units);
    }
  });
});

describe("outlines", () => {
  const layout = layoutUnits([100], 1);

  it("mark the pixels of a unit, and no fewer than can be seen", () => {
    const mask = new Uint8Array(60 * 60);
    const large = { originX: 5, originY: 5, scaleX: 5, scaleY: 5 };
    const box = markUnits(layout, [11], large, 60, 60, 3, mask) as Box;
    expect(box).toEqual({ left: 10, top: 10, right: 15, bottom: 15 });
    expect(mask.reduce((sum, pixel) => sum + pixel, 0)).toBe(25);
    clearMarks(mask, box, 60);
    expect(mask.every((pixel) => pixel === 0)).toBe(true);
    const small = { originX: 30, originY: 30, scaleX: 0.1, scaleY: 0.1 };
    const least = markUnits(layout, [0], small, 60, 60, 4, mask) as Box;
    expect(least.right - least.left).toBeGreaterThanOrEqual(4);
    const outside = { originX: 500, originY: 5, scaleX: 5, scaleY: 5 };
    expect(markUnits(layout, [11], outside, 60, 60, 3, new Uint8Array(3600))).toBeNull();
  });

  it("go around neighbors together, inside in ink and outside in the halo", () => {
    const mask = new Uint8Array(400);
    const at = { originX: 0, originY: 0, scaleX: 4, scaleY: 4 };
    const box = markUnits(layout, [11, 12], at, 20, 20, 1, mask) as Box;
    const pixels = new Uint32Array(400);
    drawContour(mask, box, 20, 20, 1, 7, 9, pixels);
    const row = (y: number): number[] => Array.from(pixels.subarray(y * 20, y * 20 + 14));
    expect(row(3)).toEqual([0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 0, 0]);
    expect(row(4)).toEqual([0, 0, 0, 9, 7, 7, 7, 7, 7, 7, 7, 7, 9, 0]);
    expect(row(5)).toEqual([0, 0, 0, 9, 7, 0, 0, 0, 0, 0, 0, 7, 9, 0]);
  });

  it("draw no edge where the view ends", () => {
    const mask = new Uint8Array(100).fill(1);
    const pixels = new Uint32Array(100);
    const box = { left: 0, top: 0, right: 10, bottom: 10 };
    drawContour(mask, box, 10, 10, 2, 7, 9, pixels);
    expect(pixels.every((pixel) => pixel === 0)).toBe(true);
  });
});
