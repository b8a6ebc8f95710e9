import { describe, expect, it } from "vitest";
import { decodeHistory, nearestLook } from "../../src/reading/history";
import { readShares } from "../../src/reading/history_reading";
import { type Lives, lifeOf, lifeWords } from "../../src/reading/life";
import type { Tolerances } from "../../src/reading/threshold";
import { packHistory } from "../helpers/histories";

const AT: Tolerances = { rtol: 0, atol: 0, scale: "layer_mean", dead_at: 1, tau: 0.1 };
const history = decodeHistory(packHistory());

function rounded(values: Float32Array): number[] {
  return Array.from(values, (value) => Math.round(value * 1000) / 1000);
}

describe("shares over training", () => {
  it("are a column where the tolerance is one", () => {
    const { lower, upper } = readShares(history, AT, "dead");
    expect(rounded(lower)).toEqual([0, 0, 0.25, 0, 0.5, Number.NaN]);
    expect(upper).toBe(lower);
  });

  it("are bounds between columns", () => {
    const { lower, upper } = readShares(history, { ...AT, atol: 0.05 }, "dead");
    expect(rounded(lower)).toEqual([0, 0, 0.25, 0, 0.5, Number.NaN]);
    expect(rounded(upper)).toEqual([0.25, 0, 0.25, 0.25, 0.5, Number.NaN]);
  });

  it("follow the mean of each layer at each look", () => {
    const { lower, upper } = readShares(history, { ...AT, rtol: 1 }, "dead");
    // Thresholds 1, 0.05; 0.5, 0.2; 0.1.
    expect(rounded(lower)).toEqual([0.75, 0, 0.25, 0.25, 0.5, Number.NaN]);
    expect(rounded(upper)).toEqual([0.75, 0, 0.75, 0.75, 0.5, Number.NaN]);
  });

  it("are of neurons where they are dormant, and of probes where they are inactive", () => {
    expect(rounded(readShares(history, AT, "dormant").lower).slice(0, 4)).toEqual([1, 1, 1, 1]);
    const between = readShares(history, { ...AT, tau: 0.05 }, "dormant");
    expect(rounded(between.lower).slice(0, 4)).toEqual([0, 0, 0.25, 0.5]);
    expect(rounded(between.upper).slice(0, 4)).toEqual([1, 1, 1, 1]);
    expect(rounded(readShares(history, AT, "inactive").lower).slice(0, 3)).toEqual([
      0, 0.125, 0.25,
    ]);
  });

  it("reach their ends above all columns", () => {
    const { lower, upper } = readShares(history, { ...AT, atol: 5 }, "dead");
    expect(rounded(lower).slice(0, 2)).toEqual([0.75, 0.75]);
    expect(rounded(upper).slice(0, 2)).toEqual([1, 1]);
  });

  it("do not use thresholds of single units, which are not kept", () => {
    const own = readShares(history, { ...AT, rtol: 9, scale: "unit_rms" }, "dead");
    expect(own.lower).toEqual(readShares(history, AT, "dead").lower);
  });
});

it("finds the nearest look", () => {
  expect([-5, 0, 49, 51, 100, 999].map((step) => nearestLook([0, 100, 200], step))).toEqual([
    0, 0, 0, 1, 1, 2,
  ]);
});

describe("the life of a unit", () => {
  const lives: Lives = {
    layer: "a",
    steps: [0, 100, 200],
    stops: [0, 0.1, 1],
    units: null,
    dead_from: Uint8Array.from([4, 2, 1, 0, 1, 0]),
    mean_abs: Float32Array.from([1, 0.5, 0.25, 0, 0.125, 0]),
    layer_mean: Float64Array.from([1, 1, 1]),
  };

  it("is told at the tolerances on show", () => {
    expect(lifeOf(lives, 0, { ...AT, atol: 0.1 })?.dead).toEqual([false, true, true]);
    expect(lifeOf(lives, 0, AT)?.dead).toEqual([false, false, false]);
    expect(lifeOf(lives, 1, AT)).toEqual({
      steps: [0, 100, 200],
      sizes: [0.5, 0, 0],
      dead: [false, true, true],
    });
  });

  it("is there for those that were sent", () => {
    const some = { ...lives, units: [7, 9] };
    expect(lifeOf(some, 9, AT)?.sizes).toEqual([0.5, 0, 0]);
    expect(lifeOf(some, 8, AT)).toBeNull();
    expect(lifeOf(lives, 2, AT)).toBeNull();
  });

  it("is said in the fewest words that are true", () => {
    const words = (...dead: boolean[]): string =>
      lifeWords({ steps: [0, 100, 200], sizes: [], dead }, String);
    expect(words(false, false, false)).toBe("alive at all 3 looks");
    expect(words(false, true, true)).toBe("dead since step 100");
    expect(words(true, true, true)).toBe("dead at all looks");
    expect(words(true, false, false)).toBe("dead at 1 of 3 looks, alive now");
    expect(words(true, false, true)).toBe("dead at 2 of 3 looks, now");
  });
});
