/** Dead units are told from the probes on which they were finite. */

import { describe, expect, it } from "vitest";
import { DeadRule } from "../../src/reading/dead_rule";
import { PerUnitReader } from "../../src/reading/per_unit_reader";
import { summarizeSelection } from "../../src/reading/unit_selection";
import { unitsSnapshot } from "../helpers/units";

describe("a dead unit", () => {
  const finite = Uint16Array.from([10, 9, 1, 0]);

  it("is inactive on a share of its own finite probes, and on one at least", () => {
    const froms = (share: number): number[] => {
      const rule = new DeadRule(share, 10, finite);
      return [0, 1, 2, 3].map((unit) => rule.fromOf(unit));
    };
    expect(froms(1)).toEqual([10, 9, 1, 1]);
    expect(froms(0.5)).toEqual([5, 5, 1, 1]);
    expect(froms(0.34)).toEqual([4, 4, 1, 1]);
    expect(new DeadRule(0.5, 10).fromOf(2)).toBe(5);
  });

  it("is counted though one number stands for all others", () => {
    const counts = Uint16Array.from([10, 9, 1, 0]);
    expect(new DeadRule(1, 10, finite).missed(counts, [1, 2, 3])).toBe(2);
    expect(new DeadRule(0.5, 10, finite).missed(counts, [1, 2, 3])).toBe(1);
    expect(new DeadRule(0.5, 10, finite).missed(Uint16Array.from([0, 4, 0, 0]), [1, 2, 3])).toBe(0);
  });

  it("is one in a selection, too", () => {
    const counts = Uint16Array.from([9, 9, 1, 0]);
    const rule = new DeadRule(1, 10, finite);
    const { dead, deadUpper } = summarizeSelection([0, 1, 2, 3], counts, counts, 10, rule);
    expect([dead, deadUpper]).toEqual([2, 2]);
  });
});

it("a channel can be large at one position where another is NaN, and dead all the same", () => {
  const units = unitsSnapshot([1], 2, [0, 1], [[0], [1], [1]]);
  const [rms, largest] = [Float32Array.of(2.9), Float32Array.of(5)];
  const at = { atol: 0, rtol: 0.5, scale: "unit_max" } as const;
  const read = (positions: boolean): number[] => {
    const { lower, upper } = new PerUnitReader(units, rms, largest).read(at, false, positions);
    return [lower[0] as number, upper[0] as number];
  };
  expect(read(true)).toEqual([1, 1]);
});
