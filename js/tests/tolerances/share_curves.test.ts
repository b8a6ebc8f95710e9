import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readLayer } from "../../src/reading/layer_reading";
import { decodeTable } from "../../src/reading/snapshot";
import { allCurves, inForceAt, layerCurve, placeOfShare } from "../../src/tolerances/share_curves";
import { layerMeta, pack } from "../helpers/pack";

const fixture = JSON.parse(
  readFileSync(new URL("../../../tests/fixtures/core.json", import.meta.url), "utf8"),
) as { table: string };
const bytes = Uint8Array.from(Buffer.from(fixture.table, "base64"));
const TABLE = decodeTable(new DataView(bytes.buffer));
const AT = { rtol: 0, atol: 1e-8, scale: "layer_mean", dead_at: 1, tau: 0.025 } as const;

describe("curves over the threshold", () => {
  it("say what the table says at every stop", () => {
    for (const dead_at of [1, 0.5]) {
      TABLE.layers.forEach(({ units }, index) => {
        const curve = layerCurve(TABLE, index, dead_at);
        TABLE.stops.forEach((atol, place) => {
          const { lower, upper } = readLayer(TABLE, index, { ...AT, atol, dead_at });
          expect(lower.mean).toBe(upper.mean);
          expect(curve.inactive[place]).toBe(lower.mean / units);
          expect(curve.dead[place]).toBe(lower.dead / units);
        });
        expect(Array.from(allCurves(TABLE).curves[index] ?? [])).toEqual(
          Array.from(curve.inactive),
        );
      });
    }
  });

  it("have the tolerances in force on them: atol, and where rtol takes a layer's threshold", () => {
    for (const [index, { units, mean_abs }] of TABLE.layers.entries()) {
      for (const at of [AT, { ...AT, rtol: 0.1 }, { ...AT, rtol: 0.1, scale: "zero" } as const]) {
        const here = inForceAt(TABLE, index, at);
        const { lower, upper } = readLayer(TABLE, index, at);
        expect(here.inactive).toEqual([lower.mean / units, upper.mean / units]);
        expect(here.dead).toEqual([lower.dead / units, upper.dead / units]);
        expect(TABLE.stops[here.atol]).toBe(AT.atol);
        const threshold =
          at.rtol === 0 || at.scale === "zero" ? AT.atol : AT.atol + at.rtol * (mean_abs as number);
        const place = here.threshold as number;
        expect(TABLE.stops[Math.floor(place)]).toBeLessThanOrEqual(threshold);
        expect(TABLE.stops[Math.floor(place) + 1]).toBeGreaterThan(threshold);
      }
      expect(inForceAt(TABLE, index, { ...AT, rtol: 0.1, scale: "unit_max" }).threshold).toBe(null);
    }
  });

  it("are first reached by a share between the stops around it", () => {
    const curve = Float64Array.of(0.1, 0.1, 0.3, 0.3, 0.9);
    const shares = [0, 0.1, 0.2, 0.3, 0.6, 1];
    expect(shares.map((share) => placeOfShare(curve, share))).toEqual([0, 0, 1.5, 2, 3.5, 4]);
  });

  it("of many layers are bands: least, quartiles, greatest", () => {
    const layers = 101;
    const mean = Array.from({ length: layers * 3 }, (_, cell) => Math.floor(cell / 3) / 100);
    const zeros = (columns: number) => ({
      dtype: "u4" as const,
      shape: [layers, columns],
      values: new Array(layers * columns).fill(0),
    });
    const table = decodeTable(
      pack(
        {
          kind: "table",
          stops: [0, 1],
          rtol_stops: [0],
          tau_stops: [0],
          probes: 10,
          dead_at: 1,
          layers: Array.from({ length: layers }, (_, each) => layerMeta(`layer ${each}`, 1)),
        },
        {
          mean: { dtype: "f8", shape: [layers, 3], values: mean },
          std: { dtype: "f8", shape: [layers, 3], values: mean },
          dead: zeros(3),
          dead_channels: zeros(3),
          dormant: zeros(1),
        },
      ),
    );
    const { kind, curves } = allCurves(table);
    expect(kind).toBe("bands");
    expect(curves.map((curve) => curve[1])).toEqual([0, 0.25, 0.75, 1]);
  });
});
