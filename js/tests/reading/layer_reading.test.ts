import { describe, expect, it } from "vitest";
import { readLayer } from "../../src/reading/layer_reading";
import { decodeTable, decodeUnits } from "../../src/reading/snapshot";
import { UnitReader } from "../../src/reading/unit_reader";
import { layerMeta, pack } from "../helpers/pack";

const STOPS = [0, 0.1, 1];
const AT = { atol: 0.1, rtol: 0, scale: "layer_mean", dead_at: 1, tau: 0.025 } as const;

const TABLE = decodeTable(
  pack(
    {
      kind: "table",
      stops: STOPS,
      rtol_stops: [0, 0.5],
      tau_stops: [0, 0.1],
      probes: 10,
      dead_at: 1,
      layers: [
        layerMeta("conv10", 4, { mean_abs: 1.8 }),
        layerMeta("conv2", 2),
        layerMeta("late", 4, { probes: 0, mean_abs: null }),
        layerMeta("again", 4),
      ],
    },
    {
      mean: {
        dtype: "f8",
        shape: [4, 4],
        values: [1, 2, 3, 4, 0, 1, 2, 2, 0, 0, 0, 0, 1, 2, 3, 4],
      },
      std: { dtype: "f8", shape: [4, 4], values: Array.from({ length: 16 }, (_, i) => i / 8) },
      dead: {
        dtype: "u4",
        shape: [4, 4],
        values: [0, 1, 2, 4, 0, 0, 1, 2, 0, 0, 0, 0, 0, 1, 2, 4],
      },
      dead_channels: {
        dtype: "u4",
        shape: [4, 4],
        values: [0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      },
      dormant: { dtype: "u4", shape: [4, 2], values: [0, 1, 0, 0, 0, 0, 0, 3] },
    },
  ),
);

function units(columns: number[], values: number[]) {
  return decodeUnits(
    pack(
      {
        kind: "units",
        layer: "conv10",
        shape: [4],
        units: 4,
        probes: 10,
        stops: STOPS,
        columns,
      },
      { counts: { dtype: "u2", shape: [columns.length, 4], values } },
    ),
  );
}

describe("readLayer", () => {
  it("takes the column of a stop", () => {
    const reading = readLayer(TABLE, 0, AT);
    expect(reading.exact).toBe(true);
    expect(reading.lower).toEqual({ mean: 2, std: 1 / 8, dead: 1, dormant: 0, deadChannels: 0 });
    expect(reading.upper).toEqual({ ...reading.lower, dormant: 1 });
    const atStop = readLayer(TABLE, 0, { ...AT, rtol: 0.3, scale: "zero", tau: 0.1 });
    expect([atStop.lower.dormant, atStop.upper.dormant]).toEqual([1, 1]);
  });

  it("brackets with the layer's own mean, exactly when that meets a stop", () => {
    const relative = {
      atol: 0.1,
      rtol: 0.5,
      scale: "layer_mean",
      dead_at: 1,
      tau: 0.025,
    } as const;
    expect(readLayer(TABLE, 0, relative).threshold).toBe(1);
    expect(readLayer(TABLE, 0, relative).exact).toBe(true);
    const second = readLayer(TABLE, 1, relative);
    expect(second.exact).toBe(false);
    expect([second.lower.mean, second.upper.mean]).toEqual([1, 2]);
  });

  it("reaches to all finite values above the last stop", () => {
    const reading = readLayer(TABLE, 1, { ...AT, atol: 5 });
    expect([reading.lower.dead, reading.upper.dead, reading.exact]).toEqual([1, 2, false]);
  });
});

describe("units at tolerances", () => {
  const all = units([0, 1, 2, 3], [0, 1, 2, 10, 1, 2, 3, 10, 5, 6, 7, 10, 10, 10, 10, 10]);

  it("takes the counts of a stop", () => {
    const reading = new UnitReader().read(TABLE, all, AT);
    expect(Array.from(reading.lower)).toEqual([1, 2, 3, 10]);
    expect(reading.exact).toBe(true);
    expect(reading.lowerColumn).toBe(1);
  });

  it("brackets between stops and between the columns at hand", () => {
    const between = new UnitReader().read(TABLE, all, { ...AT, atol: 0.5 });
    expect([between.exact, between.lowerColumn]).toEqual([false, 1]);
    expect(Array.from(between.upper)).toEqual([5, 6, 7, 10]);
    const few = units([0, 3], [0, 1, 2, 10, 10, 10, 10, 10]);
    const wide = new UnitReader().read(TABLE, few, AT);
    expect(Array.from(wide.lower)).toEqual([0, 1, 2, 10]);
    expect(Array.from(wide.upper)).toEqual([10, 10, 10, 10]);
    expect([wide.exact, wide.lowerColumn]).toEqual([false, 0]);
  });

  it("falls back to none and to every probe where no column is at hand", () => {
    const one = units([1], [1, 2, 3, 10]);
    expect(Array.from(new UnitReader().read(TABLE, one, { ...AT, atol: 0 }).lower)).toEqual([
      0, 0, 0, 0,
    ]);
    expect(Array.from(new UnitReader().read(TABLE, one, { ...AT, atol: 1 }).upper)).toEqual([
      10, 10, 10, 10,
    ]);
  });
});
