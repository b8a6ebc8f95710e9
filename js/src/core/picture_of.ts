/** What a picture of the table and a layer's curve holds, from the figures on show. */

import { formatBracket, formatInteger, formatShare, formatTolerance, plural } from "./format";
import type { PictureCurve, PictureRow } from "./picture";
import { shareCurve, type TableReading } from "./table_reading";

const ROWS_MOST = 30;

export function pictureRows(
  reading: TableReading,
  layers: readonly number[],
  selected: string,
): { readonly rows: PictureRow[]; readonly more: string } {
  const rows = layers.slice(0, ROWS_MOST).map((layer): PictureRow => {
    const { name, units, probes } = reading.meta(layer);
    const counted = probes > 0;
    const range = (key: "share" | "dead", format: (value: number) => string): string =>
      formatBracket(reading.value(layer, key), reading.value(layer, key, "upper"), format);
    return {
      name,
      units: formatInteger(units),
      share: counted ? range("share", formatShare) : "–",
      lower: counted ? reading.value(layer, "share") : 0,
      upper: counted ? reading.value(layer, "share", "upper") : 0,
      dead: counted ? range("dead", formatInteger) : "–",
      alarm: counted && reading.value(layer, "dead") > 0,
      selected: name === selected,
    };
  });
  const left = layers.length - rows.length;
  return { rows, more: left > 0 ? `and ${plural(left, "more layer")}` : "" };
}

export function pictureCurve(reading: TableReading, layer: number, atol: number): PictureCurve {
  const { stops } = reading.table;
  const shares = Array.from(shareCurve(reading.table, [layer])).slice(0, stops.length);
  let place = stops.findIndex((stop) => stop > atol) - 1;
  if (place === -2) place = stops.length - 1;
  return {
    name: reading.meta(layer).name,
    shares,
    at: stops.length > 1 && place >= 0 ? place / (stops.length - 1) : null,
    from: "exact zero",
    to: `|x| ≤ ${formatTolerance(stops.at(-1) ?? 0)}`,
  };
}
