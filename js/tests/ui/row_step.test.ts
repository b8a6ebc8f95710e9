import { describe, expect, test } from "vitest";
import { rowAfterKey } from "../../src/ui/row_step";

describe("the row that a key goes to", () => {
  test.each([
    ["ArrowDown", 3, 4],
    ["ArrowUp", 3, 2],
    ["ArrowUp", 0, 0],
    ["PageDown", 3, 12],
    ["PageDown", 15, 19],
    ["PageUp", 3, 0],
    ["Home", 7, 0],
    ["End", 7, 19],
    ["Enter", 7, null],
  ])("%s from %d", (key, row, wanted) => {
    expect(rowAfterKey(key, row, 20, 9)).toBe(wanted);
  });

  test("stays at the first of none", () => {
    expect(rowAfterKey("ArrowDown", 0, 0, 9)).toBe(0);
  });
});
