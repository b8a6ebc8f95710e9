/** On what Python packed, this side gives the numbers NumPy gives, at every stop. */

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readLayer, readUnitsAt, totalUnits } from "../src/core/layers";
import { decodeTable, decodeUnits } from "../src/core/snapshot";

interface Expected {
  readonly mean: number;
  readonly std: number;
  readonly dead: number;
  readonly dead_channels: number;
  readonly counts: readonly number[];
}

interface Fixture {
  readonly stops: readonly number[];
  readonly table: string;
  readonly layers: Record<
    string,
    {
      readonly units: string;
      readonly few: string;
      readonly mean_abs: number;
      readonly at: readonly Expected[];
    }
  >;
}

const fixture: Fixture = JSON.parse(
  readFileSync(new URL("../../tests/fixtures/core.json", import.meta.url), "utf8"),
);

function view(base64: string): DataView {
  const bytes = Uint8Array.from(Buffer.from(base64, "base64"));
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const table = decodeTable(view(fixture.table));
const layers = Object.entries(fixture.layers);

test("the layers come in Python's order, with Python's mean |x|", () => {
  expect(table.layers.map((layer) => layer.name)).toEqual(layers.map(([name]) => name));
  for (const [index, [, layer]] of layers.entries())
    expect(table.layers[index]?.mean_abs).toBeCloseTo(layer.mean_abs, 12);
});

describe.each(layers)("layer %s", (name, layer) => {
  const index = table.layers.findIndex((meta) => meta.name === name);
  const units = decodeUnits(view(layer.units));
  const few = decodeUnits(view(layer.few));

  test.each(fixture.stops.map((stop, at) => [stop, at] as const))("at %d", (atol, at) => {
    const tolerances = { atol, rtol: 0, scale: "layer mean", dead_share: 1 } as const;
    const expected = layer.at[at] as Expected;
    const reading = readLayer(table, index, tolerances);
    expect(reading.exact).toBe(true);
    expect(reading.lower).toEqual(reading.upper);
    expect(reading.lower.mean).toBe(expected.mean);
    expect(reading.lower.dead).toBe(expected.dead);
    expect(reading.lower.deadChannels).toBe(expected.dead_channels);
    expect(Math.abs(reading.lower.std - expected.std)).toBeLessThanOrEqual(1e-9 * expected.std);
    const counts = readUnitsAt(table, units, tolerances);
    expect(counts.exact).toBe(true);
    expect([...counts.lower]).toEqual(expected.counts);
    expect(totalUnits(counts.lower, units.probes)).toEqual({
      dead: expected.dead,
      inactive: expected.counts.reduce((sum, count) => sum + count, 0),
    });
  });

  test("with few columns, every stop is bounded by those there are", () => {
    expect(few.columns.length).toBe(4);
    for (const [at, atol] of fixture.stops.entries()) {
      const counts = readUnitsAt(table, few, { atol, rtol: 0, scale: "zero", dead_share: 1 });
      const expected = (layer.at[at] as Expected).counts;
      for (const [unit, count] of expected.entries()) {
        expect(counts.lower[unit]).toBeLessThanOrEqual(count);
        expect(counts.upper[unit]).toBeGreaterThanOrEqual(count);
      }
      if (counts.exact) expect([...counts.lower]).toEqual(expected);
    }
  });

  test("a tolerance relative to the layer's mean lands where Python's would", () => {
    for (const rtol of [0.01, 0.1, 1, 3]) {
      const reading = readLayer(table, index, {
        atol: 1e-3,
        rtol,
        scale: "layer mean",
        dead_share: 1,
      });
      expect(reading.threshold).toBeCloseTo(1e-3 + rtol * layer.mean_abs, 12);
      const below = fixture.stops.filter((stop) => stop <= reading.threshold).length - 1;
      expect(reading.lower.mean).toBe(layer.at[below]?.mean);
    }
  });
});
