/** Columns that tell no layer from another or repeat another column: hidden, but in the columns menu. */

import type { ColumnKey } from "../reading/columns";
import type { TableReading } from "../reading/table_reading";

/** What is dormant where it is what is dead, layer by layer; and a kind that all layers have. */
export function idleColumns(reading: TableReading): ReadonlySet<ColumnKey> {
  const layers = Array.from({ length: reading.layers }, (_, layer) => layer);
  const idle = new Set<ColumnKey>();
  const [first] = reading.table.layers;
  if (layers.length > 1 && layers.every((layer) => reading.meta(layer).kind === first?.kind)) {
    idle.add("kind");
  }
  const repeats = layers.every((layer) => {
    const dead = reading.meta(layer).channels === null ? "dead-units" : "dead-channels";
    return (["lower", "upper"] as const).every((side) =>
      Object.is(reading.value(layer, "dormant", side), reading.value(layer, dead, side)),
    );
  });
  if (repeats) idle.add("dormant");
  return idle;
}
