import { describe, expect, it } from "vitest";
import { pictureCurve } from "../../src/page/saved_picture";
import { TableReading } from "../../src/reading/table_reading";
import { tableOf } from "../helpers/tables";

const AT = { rtol: 0, atol: 0.1, scale: "layer_mean", dead_at: 1, tau: 0.1 } as const;
const TABLE = tableOf([
  { name: "a", units: 8, mean: [0, 4, 8, 8], dead: [0, 0, 8, 8], meta: { mean_abs: 1.8 } },
]);

function markedAt(changes: object): number | null {
  const tolerances = { ...AT, ...changes };
  return pictureCurve(new TableReading(TABLE).read(tolerances), 0, tolerances, "a").at;
}

describe("the curve of a saved picture", () => {
  it("is marked where the threshold is that is in force", () => {
    expect(pictureCurve(new TableReading(TABLE).read(AT), 0, AT, "a").shares).toEqual([0, 0.5, 1]);
    expect(markedAt({})).toBe(0.5);
    expect(markedAt({ atol: 1 })).toBe(1);
    expect(markedAt({ rtol: 0.5, scale: "zero" })).toBe(0.5);
    expect(markedAt({ rtol: 0.5 })).toBe(1);
    expect(markedAt({ rtol: 0.25 })).toBeGreaterThan(0.5);
    expect(markedAt({ rtol: 0.25 })).toBeLessThan(1);
  });

  it("is not marked where no probe has come", () => {
    const empty = tableOf([{ name: "a", units: 8, mean: [0, 0, 0, 0], dead: [8, 8, 8, 8] }], 0);
    expect(pictureCurve(new TableReading(empty).read(AT), 0, AT, "a").at).toBe(null);
  });
});
