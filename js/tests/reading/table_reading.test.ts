import { describe, expect, it } from "vitest";
import { readLayer } from "../../src/reading/layer_reading";
import { shareCurve, TableReading } from "../../src/reading/table_reading";
import { tableOf } from "../helpers/tables";

const TABLE = tableOf([
  { name: "conv10", units: 4, mean: [1, 2, 3, 4], dead: [0, 1, 2, 4], dormant: [1, 2] },
  { name: "conv2", units: 2, mean: [0, 1, 2, 2], dead: [0, 0, 1, 2] },
  {
    name: "late",
    units: 8,
    mean: [0, 0, 0, 0],
    dead: [0, 0, 0, 0],
    meta: { probes: 0, mean_abs: null },
  },
  {
    name: "broken",
    units: 2,
    mean: [0, 0, 0, 0],
    dead: [0, 0, 0, 0],
    meta: { nan: 20, mean_abs: 0 },
  },
]);
const AT = { atol: 0.1, rtol: 0, scale: "zero", dead_at: 1, tau: 0.025 } as const;

describe("a reading of the table", () => {
  const reading = new TableReading(TABLE).read(AT);

  it("has the figures of every layer, and none before the first probe but the units", () => {
    expect([
      reading.value(0, "mean-inactive"),
      reading.value(0, "inactive-share"),
      reading.value(0, "std-inactive"),
    ]).toEqual([2, 0.5, 0.25]);
    expect([reading.value(0, "dead-units"), reading.value(0, "dead-share")]).toEqual([1, 0.25]);
    expect([reading.value(0, "dormant"), reading.value(0, "dormant", "upper")]).toEqual([1, 2]);
    expect(new TableReading(TABLE).read({ ...AT, tau: 0.1 }).value(0, "dormant")).toBe(2);
    expect(reading.value(2, "mean-inactive")).toBeNaN();
    expect(reading.value(2, "units")).toBe(8);
    expect(reading.allExact).toBe(true);
  });

  it("has a share over all layers of which something finite is known", () => {
    expect(reading.share).toBeCloseTo(3 / 6);
    const broken = { name: "a", units: 3, mean: [0, 0, 0, 0], dead: [0, 0, 0, 0] };
    const lost = tableOf([{ ...broken, meta: { nan: 30, mean_abs: 0 } }]);
    expect(new TableReading(lost).read(AT).share).toBeNaN();
  });

  it("is read anew at other tolerances, with both bounds between stops", () => {
    const other = new TableReading(TABLE).read(AT).read({ ...AT, atol: 0.5 });
    expect([other.value(0, "dead-units", "lower"), other.value(0, "dead-units", "upper")]).toEqual([
      1, 2,
    ]);
    expect([other.exact(0), other.allExact]).toEqual([false, false]);
    expect(other.layer(0).upper.mean).toBe(3);
  });

  it("is what each layer's own reading is, wherever the tolerances fall", () => {
    for (const scale of ["zero", "layer_mean", "unit_rms"] as const) {
      for (const atol of [0, 0.05, 0.1, 1, 3]) {
        for (const [rtol, dead_at] of [
          [0, 1],
          [0.5, 1],
          [0.7, 0.9],
        ] as const) {
          const tolerances = { atol, rtol, scale, dead_at, tau: atol / 2 };
          const all = new TableReading(TABLE).read(tolerances);
          for (const layer of [0, 1, 3]) {
            const one = readLayer(TABLE, layer, tolerances);
            for (const [key, figure] of [
              ["mean-inactive", "mean"],
              ["std-inactive", "std"],
              ["dead-units", "dead"],
              ["dormant", "dormant"],
            ] as const) {
              expect(all.value(layer, key, "lower")).toBe(one.lower[figure]);
              expect(all.value(layer, key, "upper")).toBe(one.upper[figure]);
            }
            expect(all.exact(layer)).toBe(one.exact);
          }
        }
      }
    }
  });

  it("sums up what has been counted", () => {
    const totals = reading.totals([0, 1, 2]);
    expect(totals).toMatchObject({ layers: 3, units: 14, counted: true, exact: true });
    expect(totals.value("mean-inactive", "lower")).toBe(3);
    expect(totals.value("inactive-share", "lower")).toBe(0.5);
    expect(totals.value("dead-share", "lower")).toBeCloseTo(1 / 6);
    expect(totals.value("std-inactive", "lower")).toBeNaN();
    const none = reading.totals([2]);
    expect([none.counted, none.value("units", "lower")]).toEqual([false, 8]);
    expect(none.value("mean-inactive", "lower")).toBeNaN();
  });

  it("says in how many layers too many units are dead", () => {
    expect([0.25, 0.2501].map((share) => reading.layersOver(share))).toEqual([1, 0]);
  });

  it("tells a layer that gave nothing finite from one that is alive or all zero", () => {
    expect([0, 1, 2, 3].map((layer) => reading.broken(layer))).toEqual([false, false, false, true]);
  });

  it("sorts by texts as they compare, and curves by their area", () => {
    expect(reading.sortValues("response")[1]).toBe("conv0000012");
    expect(reading.sortValues("share-over-tolerance")[0]).toBeCloseTo(0.5);
    expect(reading.sortValues("share-over-tolerance")[2]).toBeNaN();
  });

  it("draws the share at every stop, of one layer or of several", () => {
    expect([...shareCurve(TABLE, [0])]).toEqual([0.25, 0.5, 0.75]);
    expect([...shareCurve(TABLE, [0, 1, 2])]).toEqual([1 / 6, 0.5, 5 / 6]);
    expect([...shareCurve(TABLE, [])]).toEqual([0, 0, 0]);
  });
});
