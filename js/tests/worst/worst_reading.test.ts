/** The worst units that Python packed are, at any position of a slider, those of a ranking by hand. */

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { decodeTable, SnapshotError } from "../../src/reading/snapshot";
import type { Tolerances } from "../../src/reading/threshold";
import { MOST_SELECTED } from "../../src/reading/unit_selection";
import {
  isSelection,
  rankedAtWords,
  unitsOf,
  type WorstUnit,
  WorstUnits,
  worstUnitName,
} from "../../src/worst/worst_reading";

interface ByHand {
  readonly layer: string;
  readonly unit: number;
  readonly what: string;
  readonly inactive: number;
  readonly finite: number;
  readonly dead: number;
  readonly units: number;
  readonly max_abs: number | null;
}

const fixture: {
  readonly table: string;
  readonly worst: { snapshot: string; at: [number, ByHand[]][] };
} = JSON.parse(readFileSync(new URL("../../../tests/fixtures/core.json", import.meta.url), "utf8"));

function view(base64: string): DataView {
  const bytes = Uint8Array.from(Buffer.from(base64, "base64"));
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const worst = new WorstUnits(view(fixture.worst.snapshot));
const AT: Tolerances = { rtol: 0, atol: 1e-8, scale: "layer_mean", dead_at: 1, tau: 0.025 };

function known(unit: WorstUnit): unknown {
  const { rank, layer, share, maxAbs, units, deadUnits } = unit;
  const text = { layer: layer.name, what: layer.what, unit: unit.unit };
  return { rank, ...text, share, maxAbs, units, deadUnits };
}

describe.each(fixture.worst.at)("at atol %d", (atol, rows) => {
  test("they come in the order of the ranking by hand, with its figures", () => {
    const list = worst.at({ ...AT, atol });
    expect(list.other).toBeNull();
    expect(list.probes).toBe(40);
    const expected = rows.map((row, index) => ({
      rank: index + 1,
      layer: row.layer,
      what: row.what,
      unit: row.unit,
      share: row.inactive / row.finite,
      maxAbs: row.max_abs ?? Number.NaN,
      units: row.units,
      deadUnits: row.dead,
    }));
    expect(list.units.map(known)).toEqual(expected);
  });
});

test("with rtol 0 any scale does, and with scale zero any rtol", () => {
  const atol = fixture.worst.at[2]?.[0] as number;
  const expected = worst.at({ ...AT, atol }).units;
  for (const same of [
    { ...AT, atol, scale: "unit_max" as const },
    { ...AT, atol, rtol: 0.3, scale: "zero" as const },
  ]) {
    const list = worst.at(same);
    expect(list.other).toBeNull();
    expect(list.units).toEqual(expected);
  }
});

test("rtol is followed as well, at the atol it was sent with", () => {
  const { rtolStops } = decodeTable(view(fixture.table));
  for (const rtol of rtolStops) expect(worst.at({ ...AT, rtol }).other).toBeNull();
  expect(worst.at({ ...AT, rtol: 10 }).units[0]?.share).toBe(1);
});

test("for tolerances that were not ranked a list says at which it was", () => {
  const ranked = (changes: Partial<Tolerances>) => worst.at({ ...AT, ...changes }).other;
  const at = { rtol: 0, atol: 1e-8, scale: "layer_mean", dead_at: 1 };
  expect(ranked({ dead_at: 0.5 })).toEqual(at);
  expect(ranked({ atol: 1.1e-8 })).toEqual(at);
  expect(ranked({ rtol: 0.3, scale: "unit_max" })).toEqual(at);
  expect(ranked({ rtol: 0.3, atol: 0.5 })).toEqual({ ...at, atol: 0.5 });
});

const one = (shape: number[], channel_axis: number | null, unit: number): WorstUnit => ({
  rank: 1,
  layer: { name: "l", what: channel_axis === null ? "unit" : "channel", shape, channel_axis },
  unit,
  share: 1,
  shareUpper: 1,
  meanAbs: 0,
  rms: 0,
  maxAbs: 0,
  units: 1,
  deadUnits: 1,
  deadUnitsUpper: 1,
});

test.each([
  [[3, 2, 2], 0, 1, [4, 5, 6, 7], "channel 1"],
  [[2, 2, 3], 2, 1, [1, 4, 7, 10], "channel 1"],
  [[2, 3, 2], 1, 2, [4, 5, 10, 11], "channel 2"],
  [[9], null, 4, [4], "unit 4"],
  [[3, 4], null, 7, [7], "unit (1, 3)"],
])("of shape %j, channels on axis %j, entry %d is %j: %s", (shape, axis, unit, units, name) => {
  const entry = { ...one(shape, axis, unit), units: units.length };
  expect(unitsOf(entry)).toEqual(units);
  expect(worstUnitName(entry)).toBe(name);
  expect(isSelection(entry, "l", units)).toBe(true);
  expect(isSelection(entry, "other", units)).toBe(false);
  expect(isSelection(entry, "l", units.slice(1))).toBe(false);
  expect(isSelection(entry, "l", [...units.slice(0, -1), 99])).toBe(false);
});

test("where a list was ranked is said in the words of the rule", () => {
  const at = { rtol: 0.025, atol: 1e-8, scale: "layer_mean" as const, dead_at: 1 };
  expect(rankedAtWords(at)).toBe("|x| ≤ 1e-8 + 0.025 × layer mean |x|");
  expect(rankedAtWords({ ...at, scale: "zero", dead_at: 0.99 })).toBe(
    "|x| ≤ 1e-8, dead on ≥ 99.0 %",
  );
});

test("a channel of more positions than can be selected is selected as far as can be", () => {
  const entry = { ...one([4, 500, 500], 0, 3), units: 250_000 };
  expect(unitsOf(entry)).toHaveLength(MOST_SELECTED);
  expect(unitsOf(entry)[0]).toBe(750_000);
  expect(isSelection(entry, "l", unitsOf(entry))).toBe(true);
});

test("another snapshot is refused", () => {
  expect(() => new WorstUnits(view(fixture.table))).toThrow(SnapshotError);
});
