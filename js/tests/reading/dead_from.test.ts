/** Bounds on how often units are inactive, from the column from which on they are dead. */

import { expect, it } from "vitest";
import { readDead } from "../../src/reading/dead_from";
import { unitsSnapshot } from "../helpers/units";

const DEAD_FROM = Uint8Array.of(0, 3, 5, 6);

function bounds(known: readonly number[] | null, lower: number, upper: number) {
  const snapshot = unitsSnapshot([4], 10, [0, 1, 2, 3, 4], [], { dead_at: 0.5, known });
  return readDead(snapshot, DEAD_FROM, { lower, upper, exact: lower === upper }, undefined);
}

it("a dead unit is inactive on as many probes as that takes, any other on fewer", () => {
  const { lower, upper } = bounds(null, 3, 3);
  expect([...lower]).toEqual([5, 5, 0, 0]);
  expect([...upper]).toEqual([10, 10, 4, 4]);
});

it("where a unit is counted at fewer columns it may be dead up to the next of them", () => {
  const { lower, upper } = bounds([0, 3, 5], 1, 1);
  expect([...lower]).toEqual([5, 0, 0, 0]);
  expect([...upper]).toEqual([10, 10, 4, 4]);
});

it("a reading at the same columns is the same one", () => {
  const snapshot = unitsSnapshot([4], 10, [0, 1, 2, 3, 4], [], { known: [0, 3, 5] });
  const first = readDead(snapshot, DEAD_FROM, { lower: 1, upper: 2, exact: false }, undefined);
  expect(readDead(snapshot, DEAD_FROM, { lower: 1, upper: 3, exact: false }, first)).toBe(first);
  expect(readDead(snapshot, DEAD_FROM, { lower: 1, upper: 4, exact: false }, first)).not.toBe(
    first,
  );
});
