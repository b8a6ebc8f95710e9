/** The widths of columns, and the choice of those that there is room for. */

import { ShortNames } from "../names/short_names";
import { COLUMNS, type ColumnKey } from "../reading/columns";
import { formatInteger, formatMean, plural } from "../reading/format";
import type { LayerMeta } from "../reading/snapshot";
import { shapeWords } from "../reading/unit_words";

/**
 * Widths in digits: what the widest number of a layer, or a range of two, takes. Zero for what no
 * layer has.
 */
export type ColumnWidths = Readonly<Record<ColumnKey, number>>;

/** Ranges are set smaller than single numbers. */
const RANGE_SIZE = 0.86;
/** And smaller still what stands below a number, which has letters narrower than digits. */
const ASIDE_SIZE = 0.76;
/** Totals are set bold. */
const TOTAL_SIZE = 1.1;
/** Letters of a name are about as wide as digits; a mark takes some room, too. */
const NAME = 19;
const NAME_MOST = 30;
const MARK = 4;
/** So narrow may the name be to leave room for the columns without which a row says nothing. */
const NAME_LEAST = 11;
const SHARE = 10;
const CURVE = 10.5;
const LOAD = 7;
const LEAST = 5;
const MOST = 90;

const ESSENTIAL: ReadonlySet<ColumnKey> = new Set([
  "response",
  "dead-units",
  "newly-dead",
  "revived",
  "inactive-share",
]);
/** Who stays when there is not room for all: the first ones. */
const BY_IMPORTANCE: readonly ColumnKey[] = [
  ...ESSENTIAL,
  "dead-share",
  "load",
  "units",
  "share-over-tolerance",
  "share-at-bound",
  "mean-inactive",
  "kind",
  "std-inactive",
  "dormant",
];
/** So narrow may these be, in a box without room for all that is essential: a number and no more. */
const TIGHT: Partial<Record<ColumnKey, number>> = {
  "inactive-share": 8.5,
  "dead-units": 9,
  "newly-dead": 6.5,
  revived: 7,
};
/** The others are shown where the user asks for them. */
const ON_REQUEST = COLUMNS.map(({ key }) => key).filter((key) => !BY_IMPORTANCE.includes(key));

function longest(texts: readonly string[]): number {
  return texts.reduce((most, text) => Math.max(most, text.length), 0);
}

function within(least: number, value: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}

/** Without what all names share. */
function ownNames(layers: readonly LayerMeta[]): readonly string[] {
  return new ShortNames(layers.map(({ name }) => name)).withoutShared().names;
}

/**
 * Widths that depend on the layers only, not on their figures: nothing shifts when counts become
 * ranges.
 */
export function columnWidths(layers: readonly LayerMeta[], compared = false): ColumnWidths {
  const units = layers.reduce((most, meta) => Math.max(most, meta.units), 1);
  const all = layers.reduce((sum, meta) => sum + meta.units, 0);
  const count = formatInteger(units).length;
  const total = TOTAL_SIZE * formatInteger(all).length;
  const mean = formatMean(units).length;
  const range = (length: number): number => RANGE_SIZE * (2 * length + 1);
  const channels = layers.reduce((most, meta) => Math.max(most, meta.channels ?? 0), 0);
  const aside =
    channels > 0
      ? ASIDE_SIZE * `${formatInteger(channels)} of ${plural(channels, "channel")}`.length
      : 0;
  const longestNumber = (key: "probes" | "masked" | "nan" | "infinite"): number =>
    TOTAL_SIZE * formatInteger(layers.reduce((sum, meta) => sum + meta[key], 0)).length;
  const shape = ASIDE_SIZE * longest(layers.map(shapeWords));
  return {
    response: within(NAME, MARK + longest(ownNames(layers)), NAME_MOST),
    kind: within(6, 0.9 * longest(layers.map((meta) => meta.kind)), 13),
    units: within(8, Math.max(count, shape, total), 15),
    "mean-inactive": within(9, Math.max(range(mean), total), 15),
    "inactive-share": SHARE,
    "std-inactive": within(7, mean + 2 * RANGE_SIZE, 10),
    "dead-units": within(7.5, Math.max(range(count), aside, total), 17),
    "dead-share": SHARE,
    "newly-dead": compared ? within(6.5, Math.max(range(count), total), 13) : 0,
    revived: compared ? within(7, Math.max(range(count), total), 13) : 0,
    dormant: within(8.5, Math.max(range(count), aside, total), 15),
    load: layers.some((meta) => meta.load !== null) ? LOAD : 0,
    "share-at-bound": layers.some((meta) => meta.share_at_bound !== null) ? SHARE : 0,
    "dead-channels": within(9, Math.max(range(formatInteger(channels).length), 0), 17),
    channels: within(9, formatInteger(channels).length, 15),
    probes: within(8, longestNumber("probes"), 15),
    masked: within(8, longestNumber("masked"), 15),
    stops: 7,
    nan: within(7, longestNumber("nan"), 15),
    infinite: within(8.5, longestNumber("infinite"), 15),
    "share-over-tolerance": CURVE,
  };
}

/** What the user asked for: shown or hidden whatever the room; without an entry, as room allows. */
type ColumnChoice = ReadonlyMap<ColumnKey, boolean>;

export interface ColumnFit {
  readonly shown: ReadonlySet<ColumnKey>;
  /** Pixels, of the shown ones. */
  readonly widths: ReadonlyMap<ColumnKey, number>;
  readonly total: number;
  /** Left out only because there is no room. */
  readonly squeezed: number;
}

/**
 * Which columns are shown in a box, and how wide: the name takes what is left over.
 *
 * `own` are widths the user gave, in digits; `digit` and `padding` are pixels; `idle` are columns
 * that say nothing new, which are shown only where they are asked for.
 */
export function fitColumns(
  widths: ColumnWidths,
  own: ReadonlyMap<ColumnKey, number>,
  choice: ColumnChoice,
  box: number,
  digit: number,
  padding: number,
  idle: ReadonlySet<ColumnKey> = new Set(),
): ColumnFit {
  const essential = [...ESSENTIAL].filter((key) => widths[key] > 0);
  const isTight = essential.reduce((sum, key) => sum + widths[key] * digit + padding, 0) > box;
  const natural = (key: ColumnKey): number =>
    isTight ? Math.min(widths[key], TIGHT[key] ?? widths[key]) : widths[key];
  const pixels = (key: ColumnKey): number =>
    Math.round((own.get(key) ?? natural(key)) * digit + padding);
  const shown = new Set<ColumnKey>(["response"]);
  let total = pixels("response");
  let squeezed = 0;
  for (const key of [...BY_IMPORTANCE, ...ON_REQUEST])
    if (choice.get(key) === true && widths[key] > 0) shown.add(key);
  for (const key of shown) if (key !== "response") total += pixels(key);
  const spare = own.has("response") ? 0 : Math.round((widths.response - NAME_LEAST) * digit);
  for (const key of BY_IMPORTANCE) {
    if (shown.has(key) || choice.get(key) === false || widths[key] === 0) continue;
    if (idle.has(key)) continue;
    const room = ESSENTIAL.has(key) ? box + spare : box;
    if (total + pixels(key) <= room && squeezed === 0) {
      shown.add(key);
      total += pixels(key);
    } else squeezed++;
  }
  const sizes = new Map<ColumnKey, number>();
  for (const { key } of COLUMNS) if (shown.has(key)) sizes.set(key, pixels(key));
  const change = Math.max(box - total, -spare);
  if (change > 0 ? !own.has("response") : change < 0) {
    sizes.set("response", (sizes.get("response") as number) + change);
    total += change;
  }
  return { shown, widths: sizes, total, squeezed };
}

/** A width a user may give, in digits. */
export function allowedWidth(digits: number): number {
  return within(LEAST, digits, MOST);
}
