/** What a picture of the table and a layer's curve holds, from the figures on show. */

import { layerForms } from "../names/row_names";
import { ShortNames, type WidthOf } from "../names/short_names";
import { NAME_ROOM, type PictureCurve, type PictureRow } from "../picture/picture";
import {
  formatBracket,
  formatInteger,
  formatShare,
  formatTolerance,
  plural,
} from "../reading/format";
import { shareCurve, type TableReading } from "../reading/table_reading";
import type { Tolerances } from "../reading/threshold";
import { inForceAt, placeOfShare } from "../tolerances/share_curves";

const ROWS_MOST = 30;

/** Names in the forms that tell them apart, measured as they are drawn. */
export function pictureRows(
  reading: TableReading,
  layers: readonly number[],
  selected: string,
  widthOf: WidthOf,
): { readonly rows: PictureRow[]; readonly more: string; readonly shared: string } {
  const names = namesOf(reading);
  const { forms, sharedLeftOut } = layerForms(names, NAME_ROOM, widthOf);
  const rows = layers.slice(0, ROWS_MOST).map((layer): PictureRow => {
    const { name, units, probes } = reading.meta(layer);
    const counted = probes > 0;
    const range = (
      key: "inactive-share" | "dead-units",
      format: (value: number) => string,
    ): string =>
      formatBracket(reading.value(layer, key), reading.value(layer, key, "upper"), format);
    return {
      name: forms[layer] ?? name,
      units: formatInteger(units),
      share: counted ? range("inactive-share", formatShare) : "–",
      lower: counted ? reading.value(layer, "inactive-share") : 0,
      upper: counted ? reading.value(layer, "inactive-share", "upper") : 0,
      dead: counted ? range("dead-units", formatInteger) : "–",
      alarm: counted && reading.value(layer, "dead-units") > 0,
      selected: name === selected,
    };
  });
  const left = layers.length - rows.length;
  return {
    rows,
    more: left > 0 ? `and ${plural(left, "more layer")}` : "",
    shared: sharedLeftOut ? `${names.beginning}*${names.end}` : "",
  };
}

function namesOf(reading: TableReading): ShortNames {
  return new ShortNames(reading.table.layers.map(({ name }) => name));
}

/** A layer's name for a heading: in full, or so that it is told from the others. */
export function headingName(
  reading: TableReading,
  layer: number,
  room: number,
  widthOf: WidthOf,
): string {
  return namesOf(reading).within(room, widthOf)[layer] as string;
}

/** Marked where the layer's threshold is, rtol included; of units with their own, where the share is. */
export function pictureCurve(
  reading: TableReading,
  layer: number,
  tolerances: Tolerances,
  name: string,
): PictureCurve {
  const { stops } = reading.table;
  const curve = shareCurve(reading.table, [layer]).slice(0, stops.length);
  const { inactive, threshold } = inForceAt(reading.table, layer, tolerances);
  const place = threshold ?? placeOfShare(curve, inactive[0]);
  return {
    name,
    shares: Array.from(curve),
    at: stops.length > 1 && reading.meta(layer).probes > 0 ? place / (stops.length - 1) : null,
    from: "exact zero",
    to: `|x| ≤ ${formatTolerance(stops.at(-1) ?? 0)}`,
  };
}
