/** Words on units of the layer in view. */

import { describe, expect, it } from "vitest";
import { evidenceWords, rarelyWords, type UnitsInView } from "../../src/reading/units_in_view";

function inView(inactive: number, probes: number, finite: number | null = null): UnitsInView {
  return {
    units: { probes },
    finite: finite === null ? null : [finite],
    reading: { lower: [inactive] },
  } as unknown as UnitsInView;
}

describe("how rarely a unit is active", () => {
  it("is bounded, as in Python, where it never was", () => {
    // What active_rate_below of 1, 50, 1,000 and 60,000 probes gives.
    expect(rarelyWords(inView(1, 1), 0)).toBe("; active on < 95 % of such data");
    expect(rarelyWords(inView(50, 50), 0)).toBe("; active on < 5.8 % of such data");
    expect(rarelyWords(inView(1000, 1000), 0)).toBe("; active on < 0.3 % of such data");
    expect(rarelyWords(inView(60_000, 60_000), 0)).toBe("; active on < 0.005 % of such data");
  });

  it("is not told of others", () => {
    expect(rarelyWords(inView(49, 50), 0)).toBe("");
    expect(rarelyWords(inView(0, 0), 0)).toBe("");
  });

  it("rests on the probes on which it was finite", () => {
    expect(rarelyWords(inView(50, 60, 50), 0)).toBe("; active on < 5.8 % of such data");
    expect(rarelyWords(inView(0, 60, 0), 0)).toBe("");
  });
});

describe("evidence of a unit", () => {
  const data = {
    units: {
      evidence: new Map([
        ["max pre-activation", [-39.84, 2]],
        ["range", [1e-9, 2]],
        ["share at bound", [0.1312, Number.NaN]],
      ]),
      findings: { words: ["", "just below"], codes: [1, 1] },
    },
    reading: { lower: [50, 3] },
    dead: { fromOf: () => 50 },
    tolerances: { atol: 1e-8 },
  } as unknown as UnitsInView;

  it("is told with its sign, and a finding of what is dead alone", () => {
    expect(Object.fromEntries(evidenceWords(data, 0))).toEqual({
      "max pre-activation": "−39.8",
      range: "1e-9 (constant)",
      "share at bound": "13.1 %",
      finding: "just below",
    });
    expect(Object.fromEntries(evidenceWords(data, 1))).toEqual({
      "max pre-activation": "2",
      range: "2",
      "share at bound": "–",
      finding: "–",
    });
  });
});
