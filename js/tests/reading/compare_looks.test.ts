/** Two looks compared on the page come to what Python's comparison of them comes to. */

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { compareTables, compareUnits, type DeadInLook } from "../../src/reading/compare_looks";
import { CHANGES } from "../../src/reading/comparison";
import { decodeTable, decodeUnits } from "../../src/reading/snapshot";
import { TableReading } from "../../src/reading/table_reading";

const { compared } = JSON.parse(
  readFileSync(new URL("../../../tests/fixtures/core.json", import.meta.url), "utf8"),
);

function view(base64: string): DataView {
  const bytes = Uint8Array.from(Buffer.from(base64, "base64"));
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const table = decodeTable(view(compared.table));

/** What is dead in one of the two that Python compares, as a look would have it. */
function lookOf(side: "beforeDeadFrom" | "deadFrom"): DeadInLook {
  let from = 0;
  const parts: number[] = [];
  const layers = table.layers.flatMap(({ name, mean_abs }) => {
    const units =
      compared.units[name] === undefined ? null : decodeUnits(view(compared.units[name]));
    const both = units?.comparison;
    if (units == null || both == null) return [];
    const layer = {
      name,
      units: units.units,
      probes: units.probes,
      mean_abs: side === "deadFrom" ? (mean_abs ?? 0) : both.mean_abs,
      counted: side === "deadFrom" ? both.counted_after : both.counted,
      from,
    };
    from += units.units;
    parts.push(...both[side]);
    return [layer];
  });
  const stops = side === "deadFrom" ? table.stops : (table.comparison?.stops ?? []);
  return { stops, dead_at: table.deadAt, layers, deadFrom: Uint8Array.from(parts) };
}

it("come to the same figures of layers", () => {
  const [before, after] = [lookOf("beforeDeadFrom"), lookOf("deadFrom")];
  expect(after.layers.length).toBeGreaterThan(1);
  const kept = table.layers.flatMap(({ name }, at) =>
    after.layers.some((layer) => layer.name === name) ? [at] : [],
  );
  const mine = compareTables(before, after);
  const python = table.comparison;
  if (python === null) throw new Error("The fixture compares nothing.");
  for (const [place, layer] of kept.entries()) {
    const pairs = (comparison: typeof mine, at: number): string[] => {
      const start = at === 0 ? 0 : (comparison.pairEnd[at - 1] as number);
      const found: string[] = [];
      for (let pair = start; pair < (comparison.pairEnd[at] as number); pair++) {
        const { pairBefore, pairAfter, pairUnits } = comparison;
        found.push(`${pairBefore[pair]} ${pairAfter[pair]} ${pairUnits[pair]}`);
      }
      return found.sort();
    };
    expect(pairs(mine, place)).toEqual(pairs(python, layer));
  }
});

it("come to the same units", () => {
  const [before, after] = [lookOf("beforeDeadFrom"), lookOf("deadFrom")];
  for (const { name } of after.layers) {
    const units = decodeUnits(view(compared.units[name]));
    const mine = compareUnits(before, after, name);
    expect([...(mine?.deadFrom ?? [])]).toEqual([...(units.comparison?.deadFrom ?? [])]);
    expect([...(mine?.beforeDeadFrom ?? [])]).toEqual([
      ...(units.comparison?.beforeDeadFrom ?? []),
    ]);
  }
  expect(compareUnits(before, after, "nowhere")).toBeNull();
});

it("are read as any comparison is", () => {
  const look = (deadFrom: number[]): DeadInLook => ({
    stops: [0, 0.1, 1],
    dead_at: 1,
    layers: [{ name: "a", units: 4, probes: 3, mean_abs: 1, counted: null, from: 0 }],
    deadFrom: Uint8Array.from(deadFrom),
  });
  const own = decodeTable(view(compared.table));
  const small = {
    ...own,
    stops: [0, 0.1, 1],
    layers: [{ ...(own.layers[0] as (typeof own.layers)[0]), name: "a", units: 4, mean_abs: 1 }],
    recount: null,
  };
  const comparison = compareTables(look([0, 3, 0, 4]), look([0, 0, 2, 0]));
  const reading = new TableReading({ ...small, comparison }).read({
    rtol: 0,
    atol: 0,
    scale: "zero",
    dead_at: own.deadAt,
    tau: 0,
  });
  expect(CHANGES.length).toBe(3);
  expect([reading.value(0, "newly-dead"), reading.value(0, "revived")]).toEqual([1, 1]);
});
