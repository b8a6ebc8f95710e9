import { describe, expect, it } from "vitest";
import type { ColumnKey } from "../../src/reading/columns";
import { TableReading } from "../../src/reading/table_reading";
import { columnWidths, fitColumns } from "../../src/table/column_fit";
import { idleColumns } from "../../src/table/idle_columns";
import { type LayerWords, tableOf } from "../helpers/tables";

const EXACT = { rtol: 0, atol: 0, scale: "zero", dead_at: 1, tau: 0 } as const;
const layer = (name: string, more: Partial<LayerWords> = {}): LayerWords => ({
  name,
  units: 8,
  mean: [2, 3, 4, 8],
  dead: [1, 2, 3, 8],
  dormant: [1, 2],
  ...more,
});
const idle = (...layers: LayerWords[]): ColumnKey[] => [
  ...idleColumns(new TableReading(tableOf(layers)).read(EXACT)),
];

describe("columns that say nothing new", () => {
  it("are what is dormant, where that is what is dead in every layer", () => {
    const kinds = { meta: { kind: "GELU" } };
    expect(idle(layer("a"), layer("b", kinds))).toEqual(["dormant"]);
    expect(idle(layer("a", { dormant: [2, 2] }), layer("b", kinds))).toEqual([]);
    // Of maps it is channels that are dormant, and none of these is dead.
    const maps = { meta: { kind: "GELU", channels: 2 } };
    expect(idle(layer("a"), layer("b", { ...maps, dormant: [0, 0] }))).toEqual(["dormant"]);
    expect(idle(layer("a"), layer("b", maps))).toEqual([]);
  });

  it("are a kind that all layers have", () => {
    const differs = { dormant: [2, 2] };
    expect(idle(layer("a", differs), layer("b"))).toEqual(["kind"]);
    expect(idle(layer("a", differs))).toEqual([]);
  });

  it("give way whatever the room, unless they are asked for", () => {
    const { layers } = tableOf([layer("a"), layer("b")]);
    const shown = (choice: [ColumnKey, boolean][]): ReadonlySet<ColumnKey> => {
      const hidden = new Set<ColumnKey>(["kind", "dormant"]);
      return fitColumns(columnWidths(layers), new Map(), new Map(choice), 2000, 8, 14, hidden)
        .shown;
    };
    expect([
      shown([]).has("kind"),
      shown([]).has("dormant"),
      shown([]).has("std-inactive"),
    ]).toEqual([false, false, true]);
    expect(shown([["dormant", true]]).has("dormant")).toBe(true);
  });
});
