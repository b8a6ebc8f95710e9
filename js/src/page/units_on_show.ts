/** The units of the selected layer at the tolerances on show, or why there are none to see. */

import { UnitReader } from "../reading/unit_reader";
import { whyNone } from "../table/layer_warnings";
import type { UnitsState } from "../units/layer_units";
import type { Store } from "./store";

const KERNEL_GONE =
  "The units of this layer are not on the page, and the kernel that had them is gone.";

export function unitsOnShow({
  traits,
  reading,
  tolerances,
  units: known,
}: Store): () => UnitsState {
  const reader = new UnitReader();
  return () => {
    const layer = traits.layer.value;
    const message = (text: string): UnitsState => ({ kind: "message", layer, text });
    const table = reading.value;
    if (table === null)
      return message("The units of a layer appear here once it has been counted.");
    if (layer === "") return message("Select a layer in the table to see its units.");
    const units = known.value;
    const row = table.table.layers.findIndex(({ name }) => name === layer);
    if (units?.layer !== layer || row < 0) {
      const absent = traits._gone.value ? KERNEL_GONE : traits._absent.value;
      return message(
        units?.layer !== layer && absent !== "" ? absent : `Waiting for units of ${layer}…`,
      );
    }
    if (units.probes === 0)
      return message(`No probe has reached ${layer}${whyNone(table.meta(row))}.`);
    if (units.units === 0) return message(`${layer} has no units: its responses have no entries.`);
    return {
      kind: "units",
      units,
      reading: reader.read(table.table, units, tolerances.value),
      layer: table.layer(row),
      tolerances: tolerances.value,
      rtolStops: table.table.rtolStops,
      coloring: traits.color.value,
      selected: traits.selected.value,
      lives: traits._life.value?.layer === layer ? traits._life.value : null,
      cards: traits._cards.value,
      step: traits._run.value.look,
    };
  };
}
