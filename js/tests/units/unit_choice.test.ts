/** Choosing units: picked one by one, added, pinned, let go of. */

import { describe, expect, it } from "vitest";
import { MOST_SELECTED } from "../../src/reading/unit_selection";
import { UnitChoice } from "../../src/units/unit_choice";
import { UnitRows } from "../../src/units/unit_rows";

const chosen = (choice: UnitChoice) => [choice.selected, choice.pinned, choice.anchor];

describe("UnitChoice", () => {
  it("pins the unit that is picked, and lets go of it when it is picked again", () => {
    const choice = new UnitChoice();
    choice.pick(7, false);
    expect(chosen(choice)).toEqual([[7], 7, 7]);
    choice.pick(3, false);
    expect(chosen(choice)).toEqual([[3], 3, 3]);
    choice.pick(3, false);
    expect(chosen(choice)).toEqual([[], null, 3]);
  });

  it("adds and takes out, the pinned one among the selected", () => {
    const choice = new UnitChoice();
    for (const unit of [9, 4, 6]) choice.pick(unit, true);
    expect(chosen(choice)).toEqual([[4, 6, 9], 6, 6]);
    choice.pick(6, true);
    expect(chosen(choice)).toEqual([[4, 9], 4, 6]);
    choice.pin(9);
    expect(chosen(choice)).toEqual([[4, 9], 9, 9]);
    expect([choice.has(9), choice.has(6)]).toEqual([true, false]);
  });

  it("holds so many and no more", () => {
    const choice = new UnitChoice();
    choice.pick(5, false);
    choice.add([1, 5, 8]);
    expect(chosen(choice)).toEqual([[1, 5, 8], 5, 5]);
    choice.add(Array.from({ length: MOST_SELECTED + 10 }, (_, unit) => unit));
    expect(choice.selected.length).toBe(MOST_SELECTED);
    choice.take([2, 3]);
    expect(choice.pinned).toBeNull();
    choice.forget();
    expect(chosen(choice)).toEqual([[], null, null]);
  });
});

describe("rows of some units", () => {
  const counts = Uint16Array.from([5, 9, 0, 9, 3, 7]);
  const rows = (key: "unit" | "inactive", ascending: boolean) =>
    new UnitRows(6, key === "unit" ? null : counts, { key, ascending }, [0, 2, 3, 5]).between(0, 9);

  it("are in the order asked for", () => {
    expect(rows("inactive", false)).toEqual([3, 5, 0, 2]);
    expect(rows("inactive", true)).toEqual([2, 0, 5, 3]);
    expect(rows("unit", true)).toEqual([0, 2, 3, 5]);
    expect(rows("unit", false)).toEqual([5, 3, 2, 0]);
  });
});
