/** The levels of counts and magnitudes, and those kept from step to step. */

import { describe, expect, it } from "vitest";
import {
  aliveRange,
  countLevels,
  DEAD,
  EMPTY_LEVEL,
  encodeCounts,
  encodeShades,
  LAST_SIGNAL,
  levelOfShade,
  magnitudeRange,
  magnitudeShades,
  NOT_FINITE,
  notFiniteUnits,
  POOLINGS,
  SHADES,
  SIGNALS,
  shadeAt,
  surveyCounts,
} from "../../src/canvas/levels";
import { sameCounts, UnitFacts } from "../../src/units/unit_facts";
import { unitsSnapshot } from "../helpers/units";

const ENDS = { from: 0, to: 10 };

function levels(
  counts: readonly number[],
  coloring: "share" | "count" | "dead",
  probes = 10,
  deadFrom = probes,
): number[] {
  const levelOf = countLevels(coloring, probes, deadFrom, ENDS, "mean");
  const out = new Uint8Array(counts.length);
  encodeCounts(Float64Array.from(counts), probes, levelOf, out);
  return Array.from(out);
}

describe("levels", () => {
  it("keep a full count apart: only that is dead, and no count is empty", () => {
    const probes = 1_000_000;
    const [light, dark] = [levelOfShade(1, "mean"), levelOfShade(SHADES, "mean")];
    expect(levels([0, 1, probes - 1, probes], "share", probes)).toEqual([light, light, dark, DEAD]);
    expect(levels([0, 10], "share")).toEqual([light, DEAD]);
    const most = levelOfShade(shadeAt(0.8), "mean");
    expect(levels([8, 9, 10], "share", 10, 9)).toEqual([most, DEAD, DEAD]);
  });

  it("are the same through a table and one by one", () => {
    const counts = Uint16Array.from({ length: 300 }, (_, unit) => (unit * 7) % 301);
    for (const coloring of ["share", "count", "dead"] as const) {
      for (const pooling of POOLINGS) {
        const levelOf = countLevels(coloring, 300, 290, { from: 20, to: 280 }, pooling);
        const out = new Uint8Array(300);
        encodeCounts(counts, 300, levelOf, out);
        expect(Array.from(out)).toEqual(Array.from(counts, levelOf));
      }
    }
  });

  it("of counts span the least and the most inactive unit that is not dead", () => {
    const levelOf = countLevels("count", 100, 100, { from: 90, to: 98 }, "least active");
    const shades = [1, shadeAt(0.5), SHADES].map((shade) => levelOfShade(shade, "least active"));
    expect([90, 94, 98, 100].map(levelOf)).toEqual([...shades, DEAD]);
    const flat = countLevels("count", 100, 100, { from: 5, to: 5 }, "least active");
    expect(flat(5)).toBe(levelOfShade(1, "least active"));
  });

  it("of dead or not are two", () => {
    const live = levelOfShade(1, "mean");
    expect(levels([0, 5, 9, 10], "dead")).toEqual([live, live, live, DEAD]);
  });

  it("rank shades above all else, by the rule of pooling", () => {
    for (const pooling of POOLINGS) {
      const light = levelOfShade(1, pooling);
      const dark = levelOfShade(SHADES, pooling);
      expect(Math.min(light, dark)).toBe(LAST_SIGNAL + 1);
      expect(Math.max(light, dark)).toBe(255);
      expect(light > dark).toBe(pooling === "most active");
    }
    expect([EMPTY_LEVEL, DEAD, NOT_FINITE, DEAD | NOT_FINITE]).toEqual([0, 1, 3, NOT_FINITE]);
    expect(Math.max(...SIGNALS)).toBe(LAST_SIGNAL);
  });

  it("of magnitudes go by the logarithm, and what is not known is darkest until it is marked", () => {
    const values = Float32Array.from([1, 0.01, 1e-4, 0, Number.NaN, 1e-30]);
    const range = magnitudeRange(values);
    expect(range?.to).toBe(1);
    expect(range?.from).toBeCloseTo(1e-6, 12);
    const shades = magnitudeShades(values, range);
    expect(Array.from(shades)).toEqual([1, shadeAt(2 / 6), shadeAt(4 / 6), SHADES, SHADES, SHADES]);
    expect(magnitudeRange(Float32Array.from([0, Number.NaN]))).toBeNull();
    const out = new Uint8Array(6);
    encodeShades(shades, Uint8Array.from([0, 4, 0, 4, 0, 0]), 4, "most active", out);
    expect(out[0]).toBe(255);
    expect([out[1], out[3]]).toEqual([DEAD, DEAD]);
    expect(out[2]).toBe(256 - shadeAt(4 / 6));
  });
});

describe("surveyCounts", () => {
  it("sums, counts the dead, and finds the ends among the rest", () => {
    for (const ArrayType of [Uint8Array, Uint16Array, Uint32Array, Float64Array]) {
      const counts = ArrayType.from([3, 10, 7, 10, 9]);
      expect(surveyCounts(counts, 10)).toEqual({ dead: 2, inactive: 39 });
      expect(surveyCounts(counts, 9).dead).toBe(3);
      expect(aliveRange(counts, 10)).toEqual({ from: 3, to: 9 });
      expect(aliveRange(counts, 9)).toEqual({ from: 3, to: 7 });
    }
    expect(aliveRange(Uint8Array.from([4, 4]), 4)).toBeNull();
  });

  it("does so for many", () => {
    const counts = Uint16Array.from({ length: 10_001 }, (_, unit) => 65_535 - (unit % 3));
    const sum = counts.reduce((total, count) => total + count, 0);
    expect(surveyCounts(counts, 65_535)).toEqual({ dead: 3334, inactive: sum });
    expect(surveyCounts(counts, 65_536).dead).toBe(0);
    expect(surveyCounts(counts, 1).dead).toBe(10_001);
  });
});

describe("what is not finite", () => {
  it("is found by the column of finite values, and marked whatever is colored, unless it is dead", () => {
    const snapshot = unitsSnapshot(
      [4],
      10,
      [0, 1],
      [
        [0, 2, 9, 9],
        [4, 5, 10, 9],
        [10, 5, 10, 9],
      ],
    );
    const facts = new UnitFacts(snapshot);
    expect(facts.notFinite).toEqual([1, 3]);
    const reading = {
      lower: snapshot.counts.subarray(0, 4),
      upper: snapshot.counts.subarray(0, 4),
      exact: true,
      lowerColumn: 0,
    };
    for (const coloring of ["share", "count", "mean |x|", "dead", "change"] as const) {
      for (const pooling of POOLINGS) {
        const out = facts.levels(reading, facts.possible(coloring), facts.rule(1), null, pooling);
        expect(out[1]).toBe(NOT_FINITE);
        expect(out[3]).toBe(DEAD);
      }
    }
    expect(facts.possible("mean |x|")).toBe("share");
    expect(notFiniteUnits(null, 10)).toEqual([]);
  });

  it("is not known where that column was not sent", () => {
    const snapshot = { ...unitsSnapshot([3], 10, [0, 1], [[1, 2, 3]]), columns: [0] };
    expect(new UnitFacts(snapshot).finite).toBeNull();
    expect(new UnitFacts(snapshot).notFinite).toEqual([]);
  });
});

describe("readings", () => {
  it("give the dead of both bounds, also of columns seen before", () => {
    const snapshot = unitsSnapshot(
      [3],
      10,
      [0, 1],
      [
        [4, 9, 10],
        [9, 10, 10],
        [10, 10, 10],
      ],
    );
    const column = (at: number) => snapshot.counts.subarray(3 * at, 3 * at + 3);
    const between = { lower: column(0), upper: column(1), exact: false, lowerColumn: 0 };
    const facts = new UnitFacts(snapshot);
    for (let time = 0; time < 2; time++) {
      expect(facts.survey(between, facts.rule(1))).toEqual({ dead: 1, deadUpper: 2, inactive: 23 });
      expect(facts.survey(between, facts.rule(0.9))).toEqual({
        dead: 2,
        deadUpper: 3,
        inactive: 23,
      });
      const exact = { lower: column(1), upper: column(1), exact: true, lowerColumn: 1 };
      expect(facts.survey(exact, facts.rule(0.9))).toEqual({ dead: 3, deadUpper: 3, inactive: 29 });
    }
    const own = Uint16Array.from([1, 2, 3]);
    const perUnit = { lower: own, upper: own, exact: true, lowerColumn: -1 };
    expect(facts.survey(perUnit, facts.rule(1)).inactive).toBe(6);
    own.fill(10);
    expect(facts.survey(perUnit, facts.rule(1))).toEqual({ dead: 3, deadUpper: 3, inactive: 30 });
  });

  it("are the same where they are the same part of the same data", () => {
    const counts = new Uint8Array(9);
    const at = (from: number, exact: boolean, to = from) => ({
      lower: counts.subarray(from, from + 3),
      upper: counts.subarray(to, to + 3),
      exact,
      lowerColumn: 0,
    });
    expect(sameCounts(null, at(0, true))).toBe(false);
    expect(sameCounts(at(0, true), at(0, true))).toBe(true);
    expect(sameCounts(at(0, true), at(3, true))).toBe(false);
    expect(sameCounts(at(0, false, 3), at(0, false, 3))).toBe(true);
    expect(sameCounts(at(0, false, 3), at(0, false, 6))).toBe(false);
    expect(sameCounts(at(0, true), at(0, false, 3))).toBe(false);
  });
});
