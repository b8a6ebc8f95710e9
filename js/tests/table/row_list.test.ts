import { describe, expect, it } from "vitest";
import { TableReading } from "../../src/reading/table_reading";
import { type ListChoice, RowList } from "../../src/table/row_list";
import { tableOf } from "../helpers/tables";

const LAYERS = [
  { name: "b1.relu", units: 4, mean: [1, 2, 3, 4], dead: [0, 1, 2, 4] },
  { name: "b1.gelu", units: 4, mean: [0, 3, 4, 4], dead: [0, 0, 3, 4] },
  { name: "b2.relu", units: 4, mean: [0, 0, 0, 4], dead: [0, 0, 0, 4] },
  { name: "head", units: 4, mean: [0, 1, 4, 4], dead: [0, 0, 4, 4] },
];
const reading = (atol: number): TableReading =>
  new TableReading(tableOf(LAYERS)).read({
    atol,
    rtol: 0,
    scale: "zero",
    dead_at: 1,
    tau: 0.025,
  });
const PLAIN: ListChoice = { sort: null, filter: "", tree: false };
const BY_DEAD: ListChoice = { ...PLAIN, sort: { column: "dead-units", ascending: false } };

function shown(list: RowList): string[] {
  return list.rows.map((row) => row.group?.path ?? (LAYERS[row.layer]?.name as string));
}

function listOf(choice: ListChoice, atol = 0.1): RowList {
  const list = new RowList();
  list.update(reading(atol), choice, false);
  return list;
}

describe("the rows on show", () => {
  it("are all layers in the order of the network, or sorted, or filtered", () => {
    expect(shown(listOf(PLAIN))).toEqual(["b1.relu", "b1.gelu", "b2.relu", "head"]);
    expect(shown(listOf(BY_DEAD, 1))).toEqual(["head", "b1.gelu", "b1.relu", "b2.relu"]);
    const filtered = listOf({ ...BY_DEAD, filter: "b1" }, 1);
    expect(shown(filtered)).toEqual(["b1.gelu", "b1.relu"]);
    expect([...filtered.layers]).toEqual([0, 1]);
    expect(filtered.place("layer 0")).toBe(1);
    expect(filtered.place("layer 3")).toBe(-1);
  });

  it("stay as they were while the text cannot be a filter", () => {
    const list = listOf({ ...PLAIN, filter: "b1" });
    list.update(reading(0.1), { ...PLAIN, filter: "b1 dead-units>" }, false);
    expect(shown(list)).toEqual(["b1.relu", "b1.gelu"]);
    list.update(reading(0.1), { ...PLAIN, filter: "" }, false);
    expect(shown(list)).toHaveLength(4);
    expect(shown(listOf({ ...PLAIN, filter: "deed>0" }))).toHaveLength(4);
  });

  it("are sorted and filtered by what has no column of its own", () => {
    const byUpper: ListChoice = {
      ...PLAIN,
      sort: { column: "mean-inactive-upper", ascending: false },
    };
    expect(shown(listOf(byUpper, 0.5))).toEqual(["b1.gelu", "head", "b1.relu", "b2.relu"]);
    expect(shown(listOf({ ...PLAIN, filter: "mean-inactive-upper>3 shape=4" }, 0.5))).toEqual([
      "b1.gelu",
      "head",
    ]);
    expect(shown(listOf({ ...PLAIN, filter: "dead-channels>=0" }))).toEqual([]);
  });

  it("follow new figures", () => {
    const list = listOf(BY_DEAD, 0.1);
    expect(shown(list)).toEqual(["b1.relu", "b1.gelu", "b2.relu", "head"]);
    const before = list.rows;
    list.update(reading(0.1), BY_DEAD, false);
    expect(list.rows).toBe(before);
    list.update(reading(1), BY_DEAD, false);
    expect(shown(list)).toEqual(["head", "b1.gelu", "b1.relu", "b2.relu"]);
  });

  it("are frozen where only figures changed, and say so; what is asked for is done at once", () => {
    const list = listOf(BY_DEAD, 0.1);
    list.update(reading(1), BY_DEAD, true);
    expect([shown(list)[0], list.frozen]).toEqual(["b1.relu", true]);
    list.update(reading(0.1), BY_DEAD, true);
    expect(list.frozen).toBe(false);
    list.update(reading(1), { ...BY_DEAD, sort: { column: "dead-units", ascending: true } }, true);
    expect([shown(list)[0], list.frozen]).toEqual(["b2.relu", false]);
    list.update(reading(1), { ...PLAIN, filter: "dead-units>3" }, true);
    expect(shown(list)).toEqual(["head"]);
    list.update(reading(0.1), { ...PLAIN, filter: "dead-units>3" }, true);
    expect([shown(list), list.frozen]).toEqual([["head"], true]);
    list.update(reading(0.1), { ...PLAIN, filter: "dead-units>3" }, false);
    expect([shown(list), list.frozen]).toEqual([[], false]);
  });

  it("follow a change of layers even when frozen", () => {
    const list = listOf(BY_DEAD);
    const more = [...LAYERS, { ...LAYERS[3], name: "tail" } as (typeof LAYERS)[number]];
    const grown = new TableReading(tableOf(more));
    list.update(
      grown.read({ atol: 1, rtol: 0, scale: "zero", dead_at: 1, tau: 0.025 }),
      BY_DEAD,
      true,
    );
    expect(list.rows).toHaveLength(5);
    expect(list.rows[1]?.label).toBe("tail");
  });
});

describe("the rows of the tree", () => {
  const tree = { ...PLAIN, tree: true };

  it("group what shares a module, and can be closed and opened", () => {
    const list = listOf(tree);
    expect(list.hasGroups).toBe(true);
    expect(shown(list)).toEqual(["b1", "b1.relu", "b1.gelu", "b2.relu", "head"]);
    list.setOpen("b1", false);
    list.update(reading(0.1), tree, true);
    expect(shown(list)).toEqual(["b1", "b2.relu", "head"]);
    expect(list.anyClosed).toBe(true);
    expect(list.reveal(1)).toBe(true);
    list.update(reading(0.1), tree, true);
    expect(list.place("layer 1")).toBe(2);
    list.setAllOpen(false);
    list.update(reading(0.1), tree, false);
    expect(shown(list)).toEqual(["b1", "b2.relu", "head"]);
    list.setAllOpen(true);
    list.update(reading(0.1), tree, false);
    expect(list.rows).toHaveLength(5);
  });

  it("sort groups by their totals, among layers", () => {
    const choice = { ...tree, sort: BY_DEAD.sort };
    // Dead at the stop 1: 2 + 3 in b1, 0 in b2.relu, 4 in head.
    expect(shown(listOf(choice, 1))).toEqual(["b1", "b1.gelu", "b1.relu", "head", "b2.relu"]);
    const byName = { ...tree, sort: { column: "response", ascending: false } as const };
    expect(shown(listOf(byName))).toEqual(["head", "b2.relu", "b1", "b1.relu", "b1.gelu"]);
  });

  it("keep to the filter, with totals of what passes", () => {
    const list = listOf({ ...tree, filter: ".r" });
    expect(shown(list)).toEqual(["b1.relu", "b2.relu"]);
    expect(list.reveal(3)).toBe(false);
  });
});
