/** Orders of units, and the rows of a list. */

import { describe, expect, it } from "vitest";
import { orderUnits, ranksOf } from "../../src/canvas/unit_order";
import { MOST_ROWS, UnitRows } from "../../src/units/unit_rows";

function draws(length: number, most: number): number[] {
  let state = 7;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  });
}

function sorted(values: ArrayLike<number>, descending: boolean): number[] {
  const sign = descending ? -1 : 1;
  const known = Array.from(values, (_, unit) => unit);
  return known.sort((a, b) => {
    const [left, right] = [values[a] as number, values[b] as number];
    const unknown = Number(Number.isNaN(left)) - Number(Number.isNaN(right));
    return unknown || sign * (left - right) || a - b || 0;
  });
}

describe("orderUnits", () => {
  const values = {
    bytes: Uint8Array.from(draws(500, 256)),
    shorts: Uint16Array.from(draws(500, 65536)),
    longs: Uint32Array.from(draws(500, 2 ** 32)),
    ties: Uint32Array.from(draws(500, 3)),
    floats: Float32Array.from(draws(500, 1e9), (value) => (value % 7 === 0 ? 0 : value / 1e6)),
    doubles: Float64Array.from(draws(500, 1000)),
    unknown: Float32Array.from(draws(500, 9), (value) => (value === 4 ? Number.NaN : value)),
  };
  for (const [name, array] of Object.entries(values)) {
    for (const descending of [true, false]) {
      it(`sorts ${name} ${descending ? "down" : "up"}, ties and unknown in order`, () => {
        const order = orderUnits(array, descending);
        const expected = sorted(array, descending);
        if (name !== "unknown" || !descending) expect(Array.from(order)).toEqual(expected);
        const key = (unit: number): number => array[unit] as number;
        expect(Array.from(order, key)).toEqual(expected.map(key));
        expect(Array.from(order).sort((a, b) => a - b)).toEqual(sorted(Array(500).fill(0), false));
      });
    }
  }

  it("has an inverse", () => {
    const order = orderUnits(values.shorts, true);
    const ranks = ranksOf(order);
    for (let unit = 0; unit < 500; unit++) expect(order[ranks[unit] as number]).toBe(unit);
  });
});

describe("UnitRows", () => {
  const counts = Uint16Array.from(draws(1000, 50));

  it("are any part of the order", () => {
    const down = sorted(counts, true);
    const rows = new UnitRows(1000, counts, { key: "inactive", ascending: false });
    expect(rows.between(0, 16)).toEqual(down.slice(0, 16));
    expect(rows.between(500, 520)).toEqual(down.slice(500, 520));
    expect(rows.between(0, 16)).toEqual(down.slice(0, 16));
    const up = new UnitRows(1000, counts, { key: "inactive", ascending: true });
    expect(up.between(0, 9)).toEqual(sorted(counts, false).slice(0, 9));
  });

  it("show units of an unknown number too, at the end", () => {
    const values = Float32Array.from([1, Number.NaN, 3, Number.NaN]);
    const rows = new UnitRows(4, values, { key: "mean |x|", ascending: false });
    expect(rows.between(0, 10).slice(0, 2)).toEqual([2, 0]);
    expect(rows.between(0, 10).length).toBe(4);
  });

  it("in the units' own order need no sorting, and end where a browser's scrolling does", () => {
    const rows = new UnitRows(300_000, null, { key: "unit", ascending: true });
    expect(rows.length).toBe(MOST_ROWS);
    expect(rows.between(MOST_ROWS - 2, MOST_ROWS + 5)).toEqual([MOST_ROWS - 2, MOST_ROWS - 1]);
    const last = new UnitRows(300_000, null, { key: "unit", ascending: false });
    expect(last.between(0, 2)).toEqual([299_999, 299_998]);
  });
});
