/** What is colored of units by their evidence. */

import { describe, expect, it } from "vitest";
import {
  DEAD,
  LAST_SIGNAL,
  levelOfShade,
  NOT_FINITE,
  SHADES,
  shadeAt,
} from "../../src/canvas/levels";
import { UnitFacts } from "../../src/units/unit_facts";
import { unitsSnapshot } from "../helpers/units";

// Of five units on 4 probes: two dead, one of them far from firing; one not finite on one probe.
const COUNTS = [4, 4, 1, 0, 2];
const units = unitsSnapshot([5], 4, [0], [COUNTS, [4, 4, 4, 4, 3]], {
  evidence: new Map([
    ["max pre-activation", Float32Array.from([-40, -0.1, 2, 0, Number.NaN])],
    ["share at bound", Float32Array.from([0, 0, 1, 0.5, Number.NaN])],
  ]),
});
const counts = units.counts.subarray(0, 5);
const reading = { lower: counts, upper: counts, exact: true, lowerColumn: 0 };

describe("units are colored by evidence", () => {
  const facts = new UnitFacts(units);
  const levels = (coloring: "max pre-activation" | "share at bound"): number[] =>
    Array.from(facts.levels(reading, coloring, facts.rule(1), null, "mean"));

  it("of the distance to firing, where the dead are no signal", () => {
    const found = levels("max pre-activation");
    expect(found[0]).toBe(LAST_SIGNAL + SHADES);
    expect(found[1]).toBe(levelOfShade(shadeAt(2.1 / 42), "mean"));
    expect(found[2]).toBe(levelOfShade(1, "mean"));
    expect(found[4]).toBe(NOT_FINITE);
    expect(facts.range("max pre-activation", reading, 4)).toEqual({ from: 2, to: -40 });
  });

  it("of the share at the bound, where the dead are", () => {
    const found = levels("share at bound");
    expect(found.slice(0, 2)).toEqual([DEAD, DEAD]);
    expect(found[2]).toBe(LAST_SIGNAL + SHADES);
    expect(found[3]).toBe(levelOfShade(shadeAt(0.5), "mean"));
  });

  it("only where there is some", () => {
    expect(facts.possible("max pre-activation")).toBe("max pre-activation");
    expect(facts.possible("range")).toBe("share");
    expect(new UnitFacts({ ...units, evidence: new Map() }).possible("share at bound")).toBe(
      "share",
    );
  });
});
