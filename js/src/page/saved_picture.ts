/** The content of a saved picture: the panels on show, with what a reader needs beside them. */

import { layerForms } from "../names/row_names";
import { ShortNames, type WidthOf } from "../names/short_names";
import { widthIn } from "../names/text_width";
import {
  HEADING_ROOM,
  NAME_ROOM,
  NAME_SIZE,
  type Picture,
  type PictureCurve,
  type PictureHeatmap,
  type PictureRow,
  type PictureTimeline,
} from "../picture/picture";
import { colorsOf } from "../picture/save_picture";
import {
  formatBracket,
  formatInteger,
  formatShare,
  formatTolerance,
  NOTHING,
  plural,
} from "../reading/format";
import { ruleInWords } from "../reading/rule_words";
import { shareCurve, type TableReading } from "../reading/table_reading";
import type { Tolerances } from "../reading/threshold";
import { inForceAt, placeOfShare } from "../tolerances/share_curves";
import { comparedWords } from "./compared_line";
import type { Store } from "./store";
import type { Panel } from "./view_menu";

const ROWS_MOST = 30;
const BOLD = 600;

/** What the state of the page does not say. */
interface OnShow {
  readonly title: string;
  readonly text: string;
  /** Of the run, in a word. */
  readonly state: string;
  readonly without: ReadonlySet<Panel>;
  /** The layers of the table, in the order of its rows. */
  readonly layers: readonly number[];
  readonly heatmap: PictureHeatmap | null;
  readonly timeline: PictureTimeline | null;
}

/** The picture, in the colors and the type of the node. */
export function savedPicture(store: Store, shown: OnShow, node: HTMLElement): Picture {
  const { title, text, state, without, layers, heatmap, timeline } = shown;
  const { layer, _run } = store.traits;
  const tolerances = store.tolerances.value;
  const reading = store.reading.value;
  const at = reading?.table.layers.findIndex(({ name }) => name === layer.value) ?? -1;
  const widthOf = widthIn(node, BOLD, `${NAME_SIZE}px`);
  const ranges = reading?.allExact === false ? " · a–b holds the true number" : "";
  const comparison = comparedWords(_run.value);
  const named =
    reading === null || at < 0
      ? layer.value
      : (namesOf(reading).within(HEADING_ROOM, widthOf)[at] as string);
  return {
    title,
    text,
    lines: [
      `inactive: ${ruleInWords(tolerances)}${ranges}`,
      `${plural(_run.value.probes, "probe")} · ${state.toLowerCase()}`,
      ...(comparison === "" ? [] : [comparison]),
    ],
    ...(reading === null
      ? { rows: [], more: "", shared: "" }
      : pictureRows(reading, without.has("table") ? [] : layers, layer.value, widthOf)),
    curve:
      reading === null || at < 0 || without.has("tolerances")
        ? null
        : pictureCurve(reading, at, tolerances, named),
    timeline: without.has("timeline") ? null : timeline,
    heatmap: heatmap === null || without.has("heatmap") ? null : { ...heatmap, name: named },
    colors: colorsOf(node),
  };
}

/** Names in the forms that tell them apart, measured as they are drawn. */
function pictureRows(
  reading: TableReading,
  layers: readonly number[],
  selected: string,
  widthOf: WidthOf,
): { readonly rows: PictureRow[]; readonly more: string; readonly shared: string } {
  const names = namesOf(reading);
  const compared = reading.table.comparison !== null;
  const { forms, sharedLeftOut } = layerForms(names, NAME_ROOM, widthOf);
  const rows = layers.slice(0, ROWS_MOST).map((layer): PictureRow => {
    const { name, units, probes } = reading.meta(layer);
    const counted = probes > 0;
    const range = (
      key: "inactive-share" | "dead-units" | "newly-dead" | "revived",
      format: (value: number) => string,
    ): string =>
      formatBracket(reading.value(layer, key), reading.value(layer, key, "upper"), format);
    const changed = (key: "newly-dead" | "revived"): string =>
      Number.isNaN(reading.value(layer, key)) ? NOTHING : range(key, formatInteger);
    return {
      name: forms[layer] ?? name,
      units: formatInteger(units),
      share: counted ? range("inactive-share", formatShare) : NOTHING,
      lower: counted ? reading.value(layer, "inactive-share") : 0,
      upper: counted ? reading.value(layer, "inactive-share", "upper") : 0,
      dead: counted ? range("dead-units", formatInteger) : NOTHING,
      changes: compared ? [changed("newly-dead"), changed("revived")] : null,
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
