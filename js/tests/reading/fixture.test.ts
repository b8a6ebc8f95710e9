/** On what Python packed, this side gives the numbers NumPy gives, at every stop. */

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readLayer } from "../../src/reading/layer_reading";
import { decodeTable, decodeUnits } from "../../src/reading/snapshot";
import { probesNeeded, type Tolerances } from "../../src/reading/threshold";
import { UnitReader } from "../../src/reading/unit_reader";
import { inForce, PRESETS, type Preset } from "../../src/tolerances/presets";
import { UnitFacts } from "../../src/units/unit_facts";

interface Expected {
  readonly mean: number;
  readonly std: number;
  readonly dead: number;
  readonly dead_channels: number;
  readonly counts: readonly number[];
}

interface Between extends Tolerances {
  readonly layers: Record<string, Expected>;
}

interface Fixture {
  readonly stops: readonly number[];
  readonly channels: {
    readonly table: string;
    readonly units: string;
    readonly at: readonly (Tolerances & Omit<Expected, "std" | "dead_channels">)[];
  };
  readonly between: readonly Between[];
  readonly presets: readonly Preset[];
  readonly needed: readonly (readonly [number, number, number])[];
  readonly recounted: { readonly table: string; readonly units: Record<string, string> };
  readonly table: string;
  readonly layers: Record<
    string,
    {
      readonly units: string;
      readonly few: string;
      readonly mean_abs: number;
      /** By tau. */
      readonly dormant: readonly (readonly [number, number])[];
      readonly at: readonly Expected[];
    }
  >;
}

const fixture: Fixture = JSON.parse(
  readFileSync(new URL("../../../tests/fixtures/core.json", import.meta.url), "utf8"),
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
    const tolerances = { atol, rtol: 0, scale: "layer_mean", dead_at: 1, tau: 0.025 } as const;
    const expected = layer.at[at] as Expected;
    const reading = readLayer(table, index, tolerances);
    expect(reading.exact).toBe(true);
    expect(reading.lower).toEqual(reading.upper);
    expect(reading.lower.mean).toBe(expected.mean);
    expect(reading.lower.dead).toBe(expected.dead);
    expect(reading.lower.deadChannels).toBe(expected.dead_channels);
    expect(Math.abs(reading.lower.std - expected.std)).toBeLessThanOrEqual(1e-9 * expected.std);
    const counts = new UnitReader().read(table, units, tolerances);
    expect(counts.exact).toBe(true);
    expect([...counts.lower]).toEqual(expected.counts);
    const facts = new UnitFacts(units);
    expect(facts.survey(counts, facts.rule(1))).toEqual({
      dead: expected.dead,
      deadUpper: expected.dead,
      inactive: expected.counts.reduce((sum, count) => sum + count, 0),
    });
  });

  test("with few columns, every stop is bounded by those there are", () => {
    expect(few.columns.length).toBe(4);
    for (const [at, atol] of fixture.stops.entries()) {
      const counts = new UnitReader().read(table, few, { atol, rtol: 0, scale: "zero" });
      const expected = (layer.at[at] as Expected).counts;
      for (const [unit, count] of expected.entries()) {
        expect(counts.lower[unit]).toBeLessThanOrEqual(count);
        expect(counts.upper[unit]).toBeGreaterThanOrEqual(count);
      }
      if (counts.exact) expect([...counts.lower]).toEqual(expected);
    }
  });

  test("as many are dormant as NumPy counts, whatever the other tolerances", () => {
    for (const [tau, dormant] of layer.dormant) {
      const at = { atol: 0.3, rtol: 1, scale: "layer_mean", dead_at: 1, tau } as const;
      const { lower, upper } = readLayer(table, index, at);
      expect([lower.dormant, upper.dormant]).toEqual([dormant, dormant]);
    }
  });

  test("a tolerance relative to the layer's mean lands where Python's would", () => {
    for (const rtol of [0.01, 0.1, 1, 3]) {
      const reading = readLayer(table, index, {
        atol: 1e-3,
        rtol,
        scale: "layer_mean",
        dead_at: 1,
        tau: 0.025,
      });
      expect(reading.threshold).toBeCloseTo(1e-3 + rtol * layer.mean_abs, 12);
      const below = fixture.stops.filter((stop) => stop <= reading.threshold).length - 1;
      expect(reading.lower.mean).toBe(layer.at[below]?.mean);
    }
  });
});

function holds(low: ArrayLike<number>, truth: readonly number[], high: ArrayLike<number>): boolean {
  return truth.every(
    (count, unit) => (low[unit] as number) <= count && count <= (high[unit] as number),
  );
}

describe.each(fixture.between)("at $rtol × $scale + $atol, dead from $dead_at", (at) => {
  test.each(Object.entries(at.layers))("%s lies between its bounds", (name, truth) => {
    const { lower, upper, exact } = readLayer(
      table,
      table.layers.findIndex((m) => m.name === name),
      at,
    );
    const bounds = (key: "mean" | "dead" | "deadChannels"): number[] => [lower[key], upper[key]];
    expect(holds([lower.mean * (1 - 1e-12)], [truth.mean], [upper.mean * (1 + 1e-12)])).toBe(true);
    expect(holds([lower.dead], [truth.dead], [upper.dead])).toBe(true);
    expect(holds([lower.deadChannels], [truth.dead_channels], [upper.deadChannels])).toBe(true);
    if (exact) {
      for (const key of ["mean", "dead", "deadChannels"] as const)
        expect(bounds(key)[0]).toBe(bounds(key)[1]);
    }
    for (const snapshot of [fixture.layers[name]?.units, fixture.layers[name]?.few]) {
      const units = decodeUnits(view(snapshot as string));
      const counts = new UnitReader().read(table, units, at);
      const flat = channelsFirst(units.shape, units.channel_axis, truth.counts);
      expect(holds(counts.lower, flat, counts.upper)).toBe(true);
      if (counts.exact) expect([...counts.lower]).toEqual(flat);
      const facts = new UnitFacts(units);
      const { dead, deadUpper } = facts.survey(counts, facts.rule(at.dead_at));
      expect(holds([dead], [truth.dead], [deadUpper])).toBe(true);
    }
  });
});

describe("channels of which some positions are NaN", () => {
  const maps = decodeTable(view(fixture.channels.table));
  const units = decodeUnits(view(fixture.channels.units));
  const facts = new UnitFacts(units);

  test.each(fixture.channels.at)("at $rtol × $scale + $atol, dead from $dead_at", (at) => {
    const { lower, upper } = readLayer(maps, 0, at);
    expect(holds([lower.mean * (1 - 1e-12)], [at.mean], [upper.mean * (1 + 1e-12)])).toBe(true);
    expect(holds([lower.dead], [at.dead], [upper.dead])).toBe(true);
    const counts = new UnitReader().read(maps, units, at);
    expect(holds(counts.lower, at.counts, counts.upper)).toBe(true);
    const { dead, deadUpper } = facts.survey(counts, facts.rule(at.dead_at));
    expect(holds([dead], [at.dead], [deadUpper])).toBe(true);
    if (at.rtol === 0) {
      expect([lower.dead, upper.dead, dead, deadUpper]).toEqual([
        at.dead,
        at.dead,
        at.dead,
        at.dead,
      ]);
    }
  });
});

/** The fixture's layers have their channels first as they are. */
function channelsFirst(_shape: readonly number[], axis: number, counts: readonly number[]) {
  expect(axis).toBe(0);
  return [...counts];
}

test("with thresholds of the units, and no other atol, only neighboring stops are apart", () => {
  const at = { rtol: 0.3, atol: 1e-8, scale: "unit_rms", dead_at: 1, tau: 0.025 } as const;
  const { lower, upper } = readLayer(table, 0, at);
  const rows = fixture.between.find((each) => each.rtol === 0.3 && each.atol === 1e-8);
  const { mean, dead } = (rows as Between).layers.dense as Expected;
  expect(lower.dead).toBe(dead);
  expect(upper.dead).toBe(dead);
  expect(upper.mean - lower.mean).toBeLessThan(0.5);
  expect(lower.mean).toBeLessThanOrEqual(mean);
  expect(lower.std).toBeNaN();
});

describe("a recount", () => {
  const at = fixture.between[0] as Between;
  const again = decodeTable(view(fixture.recounted.table));

  test.each(Object.entries(at.layers))("makes %s exact, for any share", (name, truth) => {
    const index = again.layers.findIndex((meta) => meta.name === name);
    const { lower, upper, exact } = readLayer(again, index, at);
    expect(exact).toBe(true);
    expect(lower).toEqual(upper);
    expect(lower.mean).toBeCloseTo(truth.mean, 12);
    expect(lower.std).toBeCloseTo(truth.std, 9);
    expect([lower.dead, lower.deadChannels]).toEqual([truth.dead, truth.dead_channels]);
    const units = decodeUnits(view(fixture.recounted.units[name] as string));
    const counts = new UnitReader().read(again, units, at);
    expect(counts.exact).toBe(true);
    expect([...counts.lower]).toEqual(truth.counts);
    expect(readLayer(again, index, { ...at, rtol: 0.31 }).exact).toBe(false);
    expect(new UnitReader().read(again, units, { ...at, rtol: 0.31 }).lower).not.toBe(counts.lower);
  });
});

test.each(fixture.needed)("of %d probes, a share of %d is as many as in Python", (...row) => {
  expect(probesNeeded(row[0], row[1])).toBe(row[2]);
});

test("presets are those of Python, and each is in force where it is set", () => {
  expect(PRESETS).toEqual(fixture.presets);
  const other = { rtol: 0.3, atol: 0.2, scale: "unit_max", dead_at: 0.4, tau: 3 } as const;
  for (const preset of PRESETS) {
    expect(inForce(preset, other)).toBe(false);
    expect(inForce(preset, { ...other, ...preset.settings })).toBe(true);
  }
});
