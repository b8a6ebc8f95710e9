import { describe, expect, it } from "vitest";
import {
  type Group,
  groupsOf,
  moduleTree,
  openAtFirst,
  type Row,
  treeRows,
} from "../../src/names/module_tree";

const NAMES = [
  "stem.relu",
  "layer1.0.relu",
  "layer1.0.relu:1",
  "layer1.1.relu",
  "layer1.1/relu",
  "layer2.0.act",
  "layer2.0.act:1",
  "lstm[1][0]",
  "relu",
];
const ALL = NAMES.map((_, layer) => layer);

type Shape = string | { readonly [path: string]: readonly Shape[] };

function shape(group: Group): Shape[] {
  return group.children.map((child) =>
    typeof child === "number"
      ? (NAMES[child] as string)
      : { [`${child.label}|${child.path}`]: shape(child) },
  );
}

function lines(rows: readonly Row[]): string[] {
  return rows.map((row) => `${"  ".repeat(row.depth)}${row.label}`);
}

describe("the tree of modules", () => {
  const tree = moduleTree(NAMES, ALL);

  it("parts names at dots and before functions, and leaves calls and parts of outputs whole", () => {
    expect(shape(tree)).toEqual([
      "stem.relu",
      {
        "layer1|layer1": [
          { "0|layer1.0": ["layer1.0.relu", "layer1.0.relu:1"] },
          { "1|layer1.1": ["layer1.1.relu", "layer1.1/relu"] },
        ],
      },
      // One inside the other only: one line.
      { "layer2.0|layer2.0": ["layer2.0.act", "layer2.0.act:1"] },
      "lstm[1][0]",
      "relu",
    ]);
  });

  it("shows what is open, under names without what is above them", () => {
    const rows = treeRows(tree, NAMES, (path) => path !== "layer1.0", null);
    expect(lines(rows)).toEqual([
      "stem.relu",
      "layer1",
      "  0",
      "  1",
      "    relu",
      "    /relu",
      "layer2.0",
      "  act",
      "  act:1",
      "lstm[1][0]",
      "relu",
    ]);
    expect(rows[1]?.group?.layers).toEqual([1, 2, 3, 4]);
    expect(rows.filter((row) => row.open).map((row) => row.group?.path)).toEqual([
      "layer1",
      "layer1.1",
      "layer2.0",
    ]);
  });

  it("sorts neighbors among themselves", () => {
    const values = Float64Array.from([3, 1, 2, 9, 9, 4, 5, Number.NaN, 0]);
    const rows = treeRows(tree, NAMES, () => true, {
      values,
      ascending: false,
      groupValue: (group) => Math.max(...group.layers.map((layer) => values[layer] as number)),
    });
    expect(lines(rows)).toEqual([
      "layer1",
      "  1",
      "    relu",
      "    /relu",
      "  0",
      "    relu:1",
      "    relu",
      "layer2.0",
      "  act:1",
      "  act",
      "stem.relu",
      "relu",
      "lstm[1][0]",
    ]);
  });

  it("knows the groups of a layer", () => {
    expect(groupsOf(tree, 4)).toEqual(["layer1", "layer1.1"]);
    expect(groupsOf(tree, 8)).toEqual([]);
  });

  it("opens at first as many levels as there is room for, and more where one line is all", () => {
    expect([...openAtFirst(tree, 100)]).toEqual(["layer1", "layer2.0", "layer1.0", "layer1.1"]);
    expect([...openAtFirst(tree, 10)]).toEqual(["layer1", "layer2.0"]);
    expect([...openAtFirst(tree, 5)]).toEqual([]);
    const names = Array.from({ length: 90 }, (_, block) => `model.h.${block >> 1}.act:${block}`);
    const deep = moduleTree(
      names,
      names.map((_, layer) => layer),
    );
    expect(deep.children.map((child) => (child as Group).path)).toEqual(["model.h"]);
    expect([...openAtFirst(deep, 24)]).toEqual(["model.h"]);
  });

  it("keeps a layer and a module of the same name apart, and survives odd names", () => {
    const odd = ["block", "block/relu", "block/gelu", "..", ".a.", "a..b", "a..c", "", "/"];
    const rows = treeRows(
      moduleTree(
        odd,
        odd.map((_, layer) => layer),
      ),
      odd,
      () => true,
      null,
    );
    expect(lines(rows)).toEqual([
      "block",
      "block",
      "  /relu",
      "  /gelu",
      "..",
      ".a.",
      "a",
      "  .b",
      "  .c",
      "",
      "/",
    ]);
    expect(new Set(rows.map((row) => row.key)).size).toBe(rows.length);
  });

  it("is deep without harm", () => {
    const deep = Array.from({ length: 3 }, (_, layer) => `${"x.".repeat(150)}${layer}`);
    const rows = treeRows(moduleTree(deep, [0, 1, 2]), deep, () => true, null);
    expect(rows.map((row) => row.depth)).toEqual([0, 1, 1, 1]);
  });
});
