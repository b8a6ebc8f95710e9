import { describe, expect, it } from "vitest";
import {
  locate,
  locateAmong,
  locateLayer,
  positionAmong,
  thresholdOf,
} from "../../src/reading/threshold";

const STOPS = [0, 1e-8, 1e-4, 0.1, 10];

describe("thresholdOf", () => {
  it("is atol against zero and at rtol 0, whatever the mean", () => {
    expect(thresholdOf({ atol: 1e-8, rtol: 0.5, scale: "zero" }, 3)).toBe(1e-8);
    expect(thresholdOf({ atol: 1e-8, rtol: 0, scale: "layer_mean" }, Number.NaN)).toBe(1e-8);
    expect(thresholdOf({ atol: 1e-8, rtol: 0, scale: "layer_mean" }, null)).toBe(1e-8);
  });

  it("adds the layer's mean, and is unknown when that is", () => {
    const tolerances = { atol: 0.25, rtol: 0.5, scale: "layer_mean" } as const;
    expect(thresholdOf(tolerances, 3)).toBe(1.75);
    expect(thresholdOf(tolerances, null)).toBeNaN();
    expect(thresholdOf(tolerances, Number.POSITIVE_INFINITY)).toBeNaN();
  });
});

describe("locate", () => {
  it("is exact at every stop", () => {
    STOPS.forEach((stop, index) => {
      expect(locate(STOPS, stop)).toEqual({ lower: index, upper: index, exact: true });
    });
  });

  it("brackets between stops, also by one unit in the last place", () => {
    expect(locate(STOPS, 0.05)).toEqual({ lower: 2, upper: 3, exact: false });
    expect(locate(STOPS, 0.1 + 2 ** -56)).toEqual({ lower: 3, upper: 4, exact: false });
    expect(locate(STOPS, 5e-324)).toEqual({ lower: 0, upper: 1, exact: false });
  });

  it("uses the column of any finite value above the last stop", () => {
    expect(locate(STOPS, 11)).toEqual({ lower: 4, upper: 5, exact: false });
  });

  it("agrees with a plain search for many thresholds", () => {
    for (let step = 0; step < 500; step++) {
      const threshold = 10 ** (-10 + step / 40);
      const lower = STOPS.filter((stop) => stop <= threshold).length - 1;
      expect(locate(STOPS, threshold).lower).toBe(lower);
    }
  });
});

describe("locateLayer", () => {
  it("spans all that an unknown mean allows", () => {
    const place = locateLayer(STOPS, { atol: 1e-4, rtol: 0.1, scale: "layer_mean" }, null);
    expect(place).toEqual({ lower: 2, upper: 5, exact: false });
  });
});

describe("locateAmong", () => {
  const columns = [0, 2, 3, 5];

  it("is exact when the column itself is at hand", () => {
    expect(locateAmong(columns, locate(STOPS, 1e-4))).toEqual({ lower: 1, upper: 1, exact: true });
  });

  it("widens to the nearest columns at hand", () => {
    expect(locateAmong(columns, locate(STOPS, 1e-8))).toEqual({ lower: 0, upper: 1, exact: false });
    expect(locateAmong(columns, locate(STOPS, 10))).toEqual({ lower: 2, upper: 3, exact: false });
    expect(locateAmong(columns, locate(STOPS, 1))).toEqual({ lower: 2, upper: 3, exact: false });
  });

  it("is not exact when only one column holds both bounds of an inexact place", () => {
    expect(locateAmong([0, 1, 2, 3, 4, 5], locate(STOPS, 0.05))).toEqual({
      lower: 2,
      upper: 3,
      exact: false,
    });
  });

  it("says when nothing lies below or above", () => {
    expect(locateAmong([3], locate(STOPS, 1e-8))).toEqual({ lower: -1, upper: 0, exact: false });
    expect(locateAmong([0], locate(STOPS, 1e-8))).toEqual({ lower: 0, upper: 1, exact: false });
  });
});

describe("positionAmong", () => {
  it("is the index at a stop and grows between", () => {
    STOPS.forEach((stop, index) => {
      expect(positionAmong(STOPS, stop)).toBeCloseTo(index, 12);
    });
    expect(positionAmong(STOPS, 1e-6)).toBeCloseTo(1.5, 9);
    expect(positionAmong(STOPS, 1e9)).toBe(4);
  });
});
