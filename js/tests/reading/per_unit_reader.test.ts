/** Counts under thresholds of the units' own are those of the plain definition. */

import { describe, expect, it } from "vitest";
import type { TableSnapshot, UnitsSnapshot } from "../../src/reading/snapshot";
import type { Threshold } from "../../src/reading/threshold";
import { UnitReader } from "../../src/reading/unit_reader";
import { unitsSnapshot } from "../helpers/units";

const STOPS = [0, 1e-8, ...Array.from({ length: 61 }, (_, step) => 10 ** (-4 + step / 12))];
const PROBES = 24;
/** More than one block, and no whole number of them. */
const UNITS = 5003;

function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
}

type Responses = (unit: number, probe: number) => number;

function counted(
  responses: Responses,
  columns = [...STOPS, 0].map((_, at) => at),
  changes: Partial<UnitsSnapshot> = {},
): UnitsSnapshot {
  const counts = new Uint16Array(columns.length * UNITS);
  const rms = new Float32Array(UNITS);
  const max = new Float32Array(UNITS);
  for (let unit = 0; unit < UNITS; unit++) {
    const values = Array.from({ length: PROBES }, (_, probe) =>
      Math.fround(responses(unit, probe)),
    );
    const finite = values.filter((value) => !Number.isNaN(value));
    max[unit] = Math.max(0, ...finite);
    rms[unit] = Math.sqrt(finite.reduce((sum, x) => sum + x * x, 0) / finite.length);
    for (const [position, column] of columns.entries()) {
      const stop = STOPS[column] ?? Number.POSITIVE_INFINITY;
      counts[position * UNITS + unit] = finite.filter((value) => value <= stop).length;
    }
  }
  return unitsSnapshot([UNITS], PROBES, STOPS, [], {
    columns,
    counts,
    rms,
    max_abs: max,
    ...changes,
  });
}

/** Of one unit, written down as it is meant. */
function byDefinition(
  units: UnitsSnapshot,
  unit: number,
  { atol, rtol, scale }: Threshold,
  slack: number,
): readonly [number, number] {
  const scales = scale === "unit_max" ? units.max_abs : units.rms;
  const threshold = Math.fround(atol + rtol * (scales?.[unit] ?? Number.NaN));
  const max = units.max_abs?.[unit] ?? Number.NaN;
  const stops = units.columns.slice(0, -1).map((column) => units.stops[column] as number);
  const count = (place: number): number => units.counts[place * UNITS + unit] as number;
  const total = count(stops.length);
  const allActive = scale === "unit_max" && rtol >= 1;
  if (allActive || max * (1 + slack) <= threshold * (1 - slack)) return [total, total];
  const below = Math.max(
    0,
    stops.findLastIndex((stop) => stop <= threshold * (1 - 3e-7)),
  );
  const next = stops.findIndex((stop) => !(stop < threshold * (1 + 3e-7)));
  const above = next < 0 ? stops.length : next;
  const known = max * (1 - slack) > threshold * (1 + slack) && count(above) === total;
  return [count(below), known ? total - 1 : count(above)];
}

const ratio = random(7);
const THRESHOLDS: readonly Threshold[] = (["unit_rms", "unit_max"] as const).flatMap((scale) => [
  { atol: 0, rtol: 0.5, scale },
  { atol: 1e-8, rtol: 10 ** (-4 + 30 / 12), scale },
  { atol: 0.1, rtol: 1e-4, scale },
  { atol: 0, rtol: 1, scale },
  { atol: 1e-8, rtol: 3, scale },
  { atol: 20, rtol: 10, scale },
  { atol: 1e-45, rtol: 1e-45, scale },
  ...Array.from({ length: 12 }, () => ({
    atol: 10 ** (-9 + 8 * ratio()),
    rtol: 10 ** (-4 + 5 * ratio()),
    scale,
  })),
]);

const draw = random(1);
const normal = (): number => Math.sqrt(-2 * Math.log(draw())) * Math.cos(2 * Math.PI * draw());
const wide = Float64Array.from({ length: UNITS }, () => 10 ** (1.5 * normal()));
const atStop = Float64Array.from(
  { length: UNITS },
  () => (STOPS[2 + Math.floor(60 * draw())] as number) * (1 + 1e-7 * Math.round(8 * normal())),
);

const SCENES: readonly (readonly [string, Responses])[] = [
  ["alike", () => Math.max(0, normal())],
  ["of many magnitudes", (unit) => Math.abs((wide[unit] as number) * normal())],
  ["at and beside stops", (unit, probe) => (probe === 0 ? 0.1 : (atStop[unit] as number))],
  ["all as large", (_, probe) => (probe === 0 ? 1 : Math.abs(normal()) / 9)],
  ["dead and huge", (unit) => (unit % 3 === 0 ? 0 : unit % 3 === 1 ? 3e38 : 1e-44)],
  ["partly or never finite", (unit, probe) => (probe % 5 < unit % 6 ? Number.NaN : draw())],
];

function tableOf(dtype: string): TableSnapshot {
  return { layers: [{ name: "layer", mean_abs: 1, dtype }] } as unknown as TableSnapshot;
}

function expectDefinition(units: UnitsSnapshot, dtype: string, slack: number): void {
  const reader = new UnitReader();
  for (const at of THRESHOLDS) {
    const { lower, upper, exact } = reader.read(tableOf(dtype), units, at);
    let same = true;
    for (let unit = 0; unit < UNITS; unit++) {
      const [least, most] = byDefinition(units, unit, at, slack);
      if (lower[unit] !== least || upper[unit] !== most) {
        expect([at, unit, lower[unit], upper[unit]]).toEqual([at, unit, least, most]);
      }
      same &&= least === most;
    }
    expect(exact).toBe(same);
  }
}

describe.each(SCENES)("units %s", (_, responses) => {
  const units = counted(responses);

  it("are counted by definition at any threshold", () => {
    expectDefinition(units, "float32", 3e-7);
  });

  it("are so where responses are of half precision", () => {
    expectDefinition(units, "float16", 1.5e-3);
  });

  it("are so where few columns are at hand", () => {
    expectDefinition(counted(responses, [0, 20, 30, STOPS.length]), "float32", 3e-7);
  });
});

it("scales of negative NaN are read, as those of units that never were finite", () => {
  const units = counted(() => Number.NaN);
  new Int32Array(units.rms?.buffer as ArrayBuffer).fill(0xffc00000 | 0);
  expectDefinition(units, "float32", 3e-7);
});

it("one reading leaves the one before as it was", () => {
  const reader = new UnitReader();
  const units = counted(() => normal() ** 2);
  const at = { atol: 0, rtol: 0.3, scale: "unit_rms" } as const;
  const first = reader.read(tableOf("float32"), units, at);
  const before = Array.from(first.lower);
  const second = reader.read(tableOf("float32"), units, { ...at, rtol: 0.4 });
  expect(second.lower).not.toBe(first.lower);
  expect(Array.from(first.lower)).toEqual(before);
});
