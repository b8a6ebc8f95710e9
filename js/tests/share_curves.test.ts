import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readLayer } from "../src/core/layers";
import { allCurves, axisOf, curveKey, layerCurve } from "../src/core/share_curves";
import { decodeTable } from "../src/core/snapshot";
import { layerMeta, pack } from "./pack";

const fixture = JSON.parse(
  readFileSync(new URL("../../tests/fixtures/core.json", import.meta.url), "utf8"),
) as { table: string };
const bytes = Uint8Array.from(Buffer.from(fixture.table, "base64"));
const TABLE = decodeTable(new DataView(bytes.buffer));
const AT = { rtol: 0, atol: 1e-8, scale: "layer mean", dead_share: 1, tau: 0.025 } as const;

describe("curves over the tolerance that matters", () => {
  it("run over atol unless rtol has an effect", () => {
    expect(axisOf(TABLE, AT).name).toBe("atol");
    expect(axisOf(TABLE, { ...AT, rtol: 0.1 }).name).toBe("rtol");
    expect(axisOf(TABLE, { ...AT, rtol: 0.1, scale: "zero" }).name).toBe("atol");
  });

  it("say what the table says at every stop, and stay as they are along it", () => {
    for (const at of [AT, { ...AT, rtol: 0.1 }, { ...AT, rtol: 0.1, scale: "unit max" } as const]) {
      const axis = axisOf(TABLE, at);
      TABLE.layers.forEach(({ units }, index) => {
        const curve = layerCurve(TABLE, index, at, axis);
        axis.stops.forEach((stop, place) => {
          const there = { ...at, [axis.name]: stop };
          const { lower, upper } = readLayer(TABLE, index, there);
          expect(curve.lower[place]).toBe(lower.mean / units);
          expect(curve.upper[place]).toBe(upper.mean / units);
          expect(curve.dead[place]).toBe(lower.dead / units);
          if (stop > 0) expect(curveKey(axis, there)).toBe(curveKey(axis, at));
        });
        expect(Array.from(allCurves(TABLE, at, axis).curves[index] ?? [])).toEqual(
          Array.from(curve.lower),
        );
      });
    }
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
          dead_share: 1,
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
    const { kind, curves } = allCurves(table, AT, axisOf(table, AT));
    expect(kind).toBe("bands");
    expect(curves.map((curve) => curve[1])).toEqual([0, 0.25, 0.75, 1]);
  });
});
