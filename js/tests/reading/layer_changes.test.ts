/** What became of units between two results: Python's bounds, and NumPy's units within them. */

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { CHANGES, type Change, deadUpTo } from "../../src/reading/comparison";
import { ownIndex } from "../../src/reading/layout";
import { decodeTable, decodeUnits, type LayerMeta } from "../../src/reading/snapshot";
import { TableReading } from "../../src/reading/table_reading";
import type { Tolerances } from "../../src/reading/threshold";
import {
  ChangeReader,
  DEAD_IN_BOTH,
  NEWLY_DEAD,
  NOT_COMPARED,
  REVIVED,
  UNSURE,
  type UnitChanges,
} from "../../src/reading/unit_changes";
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

test("where units are counted at few columns, a unit may be dead up to the next of these", () => {
  const between = { lower: 3, upper: 4, exact: false };
  expect(deadUpTo(between, null)).toEqual(between);
  expect(deadUpTo(between, [0, 3, 7, 9])).toEqual({ ...between, upper: 7 });
  const at = { lower: 7, upper: 7, exact: true };
  expect(deadUpTo(at, [0, 3, 7, 9])).toEqual(at);
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

describe.each(compared.at)("units at $atol + $rtol × $scale", (at) => {
  test.each(Object.entries(at.layers))("of %s are as in Python", (name, truth) => {
    const units = decodeUnits(view(compared.units[name] as string));
    const meta = table.table.layers.find((layer) => layer.name === name) as LayerMeta;
    const reader = new ChangeReader(units);
    const changes = reader.read(meta, table.table.rtolStops, at) as UnitChanges;
    if (units.comparison === null) {
      expect(truth.known.some((isKnown) => isKnown)).toBe(false);
      return;
    }
    expect(reader.read(meta, table.table.rtolStops, at)).toBe(changes);
    const { lower, upper } = changes.survey;
    const fates = Array.from({ length: units.units }, (_, unit) => changes.fate(unit));
    const own = (unit: number): number => ownIndex(units.shape, units.channel_axis, unit);
    const whose = (fate: number): number[] =>
      [...fates.keys()].filter((unit) => fates[unit] === fate).map(own);
    const unsure = new Set(whose(UNSURE));
    if (!(at.scale.startsWith("unit") && at.rtol !== 0)) {
      for (const [fate, change] of [
        [NEWLY_DEAD, "newlyDead"],
        [REVIVED, "revived"],
        [DEAD_IN_BOTH, "deadInBoth"],
      ] as const) {
        expect([lower[fate], upper[fate]]).toEqual(truth[change].bounds);
        const sure = new Set(truth[change].units.filter((unit) => !unsure.has(unit)));
        expect(new Set(whose(fate))).toEqual(sure);
      }
    }
    const unknown = [...truth.known.keys()].filter((unit) => !truth.known[unit]);
    expect(whose(NOT_COMPARED).sort((a, b) => a - b)).toEqual(unknown);
  });
});
