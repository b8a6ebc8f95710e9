/** The histogram of one unit, its axis, and the threshold that is dragged along it. */

import { describe, expect, it } from "vitest";
import type { LayerMeta } from "../../src/reading/snapshot";
import {
  barsOf,
  magnitudeAxis,
  placeOf,
  powersOn,
  SLOT,
  unitHistogram,
  valueAt,
} from "../../src/units/unit_histogram";
import { scaleOfUnit, tolerancesAt, unitThreshold } from "../../src/units/unit_threshold";
import { layerMeta } from "../helpers/pack";
import { unitsSnapshot } from "../helpers/units";

const STOPS = [0, 1e-3, 1e-2, 1e-1, 1];

describe("unitHistogram", () => {
  const snapshot = unitsSnapshot([2], 20, STOPS, [
    [3, 0],
    [3, 1],
    [7, 1],
    [15, 4],
    [16, 20],
    [18, 20],
  ]);

  it("is the differences of cumulative counts", () => {
    const { bins, notFinite } = unitHistogram(snapshot, 0);
    expect(bins.map(({ count }) => count)).toEqual([3, 0, 4, 8, 1, 2]);
    expect(bins.map(({ to }) => to)).toEqual([...STOPS, Number.POSITIVE_INFINITY]);
    expect(bins.map(({ from }) => from)).toEqual([0, ...STOPS]);
    expect(notFinite).toBe(2);
    expect(unitHistogram(snapshot, 1).notFinite).toBe(0);
  });

  it("has wider bins where fewer stops were sent", () => {
    const thinned = {
      ...snapshot,
      columns: [1, 4],
      counts: Uint16Array.from([3, 1, 16, 20]),
    };
    const { bins, notFinite } = unitHistogram(thinned, 0);
    expect(bins).toEqual([
      { from: 0, to: 1e-3, count: 3 },
      { from: 1e-3, to: 1, count: 13 },
    ]);
    expect(notFinite).toBeNull();
  });

  it("is drawn in areas: the tallest bar between the slots is 1, and none overlap", () => {
    const axis = magnitudeAxis(STOPS);
    const bars = barsOf(unitHistogram(snapshot, 0), axis);
    expect(Math.max(...bars.slice(1, -1).map(({ height }) => height))).toBe(1);
    for (let at = 1; at < bars.length; at++) {
      expect(bars[at]?.from).toBeCloseTo(bars[at - 1]?.to as number, 9);
    }
    expect(bars[3]?.height).toBe(1);
    expect(bars[2]?.height).toBeCloseTo(0.5, 9);
    expect(bars[0]?.cut).toBe(false);
    const still = barsOf(unitHistogram(unitsSnapshot([1], 5, STOPS, Array(6).fill([5])), 0), axis);
    expect(still.map(({ height }) => height)).toEqual([1, 0, 0, 0, 0, 0]);
  });
});

describe("the axis of magnitudes", () => {
  const axis = magnitudeAxis(STOPS);

  it("goes there and back", () => {
    expect(placeOf(axis, 0)).toBe(SLOT);
    expect(valueAt(axis, SLOT / 2)).toBe(0);
    for (const value of [1e-3, 3e-2, 0.5, 1]) {
      expect(valueAt(axis, placeOf(axis, value))).toBeCloseTo(value, 9);
    }
    expect(placeOf(axis, 1)).toBeCloseTo(1 - SLOT, 9);
    expect(placeOf(axis, 50)).toBe(1);
  });

  it("is labeled with few powers of ten", () => {
    expect(powersOn(axis)).toEqual([1e-4, 1e-3, 1e-2, 1e-1, 1]);
    expect(powersOn({ first: 1e-9, last: 10 }).length).toBeLessThanOrEqual(6);
  });
});

describe("the threshold of a unit", () => {
  const meta = layerMeta("layer", 2, { mean_abs: 0.5 }) as LayerMeta;
  const snapshot = unitsSnapshot([2], 4, STOPS, [], {
    rms: Float32Array.from([2, 4]),
    max_abs: Float32Array.from([8, 16]),
  });
  const at = (scale: "zero" | "layer_mean" | "unit_rms" | "unit_max") =>
    scaleOfUnit({ rtol: 0, atol: 0, scale, dead_at: 1, tau: 0.025 }, meta, snapshot, 1);

  it("is relative to what the scale says", () => {
    expect([at("zero"), at("layer_mean"), at("unit_rms"), at("unit_max")]).toEqual([0, 0.5, 4, 16]);
    const tolerances = {
      rtol: 0.1,
      atol: 0.01,
      scale: "unit_max",
      dead_at: 1,
      tau: 0.025,
    } as const;
    expect(unitThreshold(tolerances, 16)).toBeCloseTo(1.61);
    expect(unitThreshold(tolerances, null)).toBeNaN();
    expect(unitThreshold({ ...tolerances, rtol: 0 }, null)).toBe(0.01);
    const unsent = { ...snapshot, rms: null };
    expect(scaleOfUnit({ ...tolerances, scale: "unit_rms" }, meta, unsent, 0)).toBeNull();
  });

  it("is dragged by atol where nothing is relative", () => {
    const tolerances = {
      rtol: 0,
      atol: 1,
      scale: "layer_mean",
      dead_at: 1,
      tau: 0.025,
    } as const;
    expect(tolerancesAt(0.012, tolerances, 0.5, STOPS, STOPS)).toEqual({ atol: 1e-2 });
    const zero = { rtol: 0.1, atol: 1, scale: "zero", dead_at: 1, tau: 0.025 } as const;
    expect(tolerancesAt(0, zero, 0, STOPS, STOPS)).toEqual({ atol: 0 });
  });

  it("is dragged by rtol where that matters more, and atol gives way below it", () => {
    const tolerances = {
      rtol: 1,
      atol: 1e-3,
      scale: "layer_mean",
      dead_at: 1,
      tau: 0.025,
    } as const;
    expect(tolerancesAt(0.051, tolerances, 0.5, STOPS, STOPS)).toEqual({ rtol: 0.1 });
    expect(tolerancesAt(0, tolerances, 0.5, STOPS, STOPS)).toEqual({ rtol: 0, atol: 0 });
    const other = { rtol: 1e-2, atol: 1, scale: "layer_mean", dead_at: 1, tau: 0.025 } as const;
    expect(tolerancesAt(0.105, other, 0.5, STOPS, STOPS)).toEqual({ atol: 0.1 });
    expect(tolerancesAt(0.0005, other, 0.5, STOPS, STOPS)).toEqual({ atol: 0, rtol: 1e-3 });
  });
});
