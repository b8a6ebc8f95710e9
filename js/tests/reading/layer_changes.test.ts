/** What became of units between two results: Python's bounds, and NumPy's units within them. */

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { CHANGES, type Change } from "../../src/reading/comparison";
import { decodeTable } from "../../src/reading/snapshot";
import { TableReading } from "../../src/reading/table_reading";
import type { Tolerances } from "../../src/reading/threshold";
import { tableOf } from "../helpers/tables";

interface LayerTruth extends Record<Change, { units: number[]; bounds: [number, number] }> {
  readonly known: readonly boolean[];
}

interface Compared {
  readonly table: string;
  readonly units: Record<string, string>;
  readonly at: readonly (Tolerances & { readonly layers: Record<string, LayerTruth> })[];
}

const { compared } = JSON.parse(
  readFileSync(new URL("../../../tests/fixtures/core.json", import.meta.url), "utf8"),
) as { compared: Compared };

function view(base64: string): DataView {
  const bytes = Uint8Array.from(Buffer.from(base64, "base64"));
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const table = new TableReading(decodeTable(view(compared.table)));

describe.each(compared.at)("at $atol + $rtol × $scale", (at) => {
  const reading = table.read(at);
  test.each(Object.entries(at.layers))("%s is as in Python", (name, truth) => {
    const layer = reading.table.layers.findIndex((meta) => meta.name === name);
    const known = truth.known.some((isKnown) => isKnown);
    const again = table.read(at);
    for (const [key, change] of [
      ["newly-dead", "newlyDead"],
      ["revived", "revived"],
    ] as const) {
      const bounds = [again.value(layer, key), again.value(layer, key, "upper")];
      expect(bounds).toEqual(known ? truth[change].bounds : [Number.NaN, Number.NaN]);
    }
  });

  test("NumPy's lie within", () => {
    for (const truth of Object.values(at.layers)) {
      for (const change of CHANGES) {
        const [lower, upper] = truth[change].bounds;
        expect(truth[change].units.length).toBeGreaterThanOrEqual(lower);
        expect(truth[change].units.length).toBeLessThanOrEqual(upper);
      }
    }
  });
});

test("tolerances that nothing was sent for have the widest bounds", () => {
  const at = { ...(compared.at[0] as Tolerances), dead_at: 0.5 };
  const reading = table.read(at);
  const { layers } = compared.at[0] as Compared["at"][number];
  for (const [layer, { known }] of Object.values(layers).entries()) {
    const units = known.filter((isKnown) => isKnown).length;
    expect(reading.value(layer, "newly-dead")).toBe(0);
    expect(reading.value(layer, "newly-dead", "upper")).toBe(units);
  }
});

test("totals add up what died in the layers in which that is known", () => {
  const reading = table.read(compared.at[0] as Tolerances);
  const sum = [0, 1, 2, 3].reduce((all, layer) => all + reading.value(layer, "revived"), 0);
  expect(reading.totals([0, 1, 2, 3]).value("revived", "lower")).toBe(sum);
});

test("where nothing is compared there is no figure", () => {
  const plain = new TableReading(
    tableOf([{ name: "a", units: 3, mean: [0, 1, 2, 3], dead: [0, 1, 2, 3] }]),
  ).read(compared.at[0] as Tolerances);
  expect(plain.value(0, "newly-dead")).toBeNaN();
  expect(plain.totals([0]).value("revived", "lower")).toBeNaN();
});
