/** The columns of the layer table, by their names in DataFrames, with hyphens for blanks. */

export type TextKey = "response" | "kind" | "unit" | "shape";
export type NumericKey =
  | "units"
  | "mean-inactive"
  | "inactive-share"
  | "std-inactive"
  | "dead-units"
  | "dead-share"
  | "newly-dead"
  | "revived"
  | "dead-channels"
  | "channels"
  | "dormant"
  | "load"
  | "share-at-bound"
  | "share-over-tolerance"
  | "probes"
  | "masked"
  | "stops"
  | "nan"
  | "infinite"
  | "mean-inactive-upper"
  | "dead-units-upper"
  | "dead-in-both"
  | "newly-dead-share";
/** What rows can be sorted and filtered by. */
export type FigureKey = TextKey | NumericKey;
/** What has a column of its own; the others stand beside or below what they belong to. */
export type ColumnKey = Exclude<
  FigureKey,
  | "unit"
  | "shape"
  | "mean-inactive-upper"
  | "dead-units-upper"
  | "dead-in-both"
  | "newly-dead-share"
>;
/** Columns of numbers: those of texts and of curves left out. */
export type NumberKey = Exclude<ColumnKey, "response" | "kind" | "share-over-tolerance">;

export interface Column {
  readonly key: ColumnKey;
  /** Lines of the header. */
  readonly label: string;
  /** In menus and announcements, where the page has another word for it. */
  readonly called?: string;
  readonly title: string;
}

export const COLUMNS: readonly Column[] = [
  { key: "response", label: "layer", called: "layer", title: "Name of the layer" },
  { key: "kind", label: "kind", title: "What computes the responses" },
  { key: "units", label: "units", title: "Number of units, and their shape" },
  {
    key: "mean-inactive",
    label: "mean\ninactive",
    title: "Inactive units on one probe, averaged over the probes",
  },
  {
    key: "inactive-share",
    label: "inactive\nshare",
    title: "Mean inactive units as a share of all units",
  },
  {
    key: "std-inactive",
    label: "std",
    title: "Population standard deviation of inactive units over the probes",
  },
  {
    key: "dead-units",
    label: "dead\nunits",
    title:
      "Units inactive on every probe on which they are finite, or on the share of these that is set above",
  },
  {
    key: "dead-share",
    label: "dead\nshare",
    title: "Dead units as a share of all units",
  },
  {
    key: "newly-dead",
    label: "newly\ndead",
    title: "Units that were not dead in the result compared with, and are dead here",
  },
  {
    key: "revived",
    label: "revived",
    title: "Units that were dead in the result compared with, and are not dead here",
  },
  {
    key: "dead-channels",
    label: "dead\nchannels",
    title: "Channels of which every unit is dead, where a channel has several",
  },
  {
    key: "channels",
    label: "channels",
    title: "Number of channels, where a channel has several units",
  },
  {
    key: "dormant",
    label: "dormant",
    title: "Units (in maps, channels) with a mean |x| of at most τ times the mean of their layer",
  },
  {
    key: "load",
    label: "load",
    title: "An expert's tokens over an even share of those of its mixture, padding left out",
  },
  {
    key: "share-at-bound",
    label: "at\nbound",
    called: "share at bound",
    title: "Share of responses at a bound of the activation, such as the 6 of ReLU6",
  },
  { key: "probes", label: "probes", title: "Probes counted" },
  {
    key: "masked",
    label: "masked",
    title: "Positions left out as padding",
  },
  {
    key: "stops",
    label: "tolerances\nheld",
    called: "tolerances held",
    title: "At how many tolerances its units are counted; between these they are known as a range",
  },
  { key: "nan", label: "nan", title: "Responses that were NaN" },
  {
    key: "infinite",
    label: "infinite",
    title: "Responses that were infinite",
  },
  {
    key: "share-over-tolerance",
    label: "over\ntolerance",
    title:
      "Inactive share at every atol; the mark is the threshold in force. Sorts by the area under the curve",
  },
];

/** All that rows can be sorted and filtered by, in the order of Python's `COLUMNS`. */
export const FIGURE_KEYS: readonly FigureKey[] = [
  ...COLUMNS.map(({ key }) => key),
  ...([
    "mean-inactive-upper",
    "dead-units-upper",
    "dead-in-both",
    "newly-dead-share",
    "unit",
    "shape",
  ] as const),
];

/** What a name stands for: that of a column of DataFrames, with blanks, hyphens or underscores. */
export function findFigure(name: string): FigureKey | undefined {
  const plain = name.toLowerCase().replace(/^dormant[ _-]\(tau[ _-][0-9.e+-]+\)$/, "dormant");
  const words = plain.split(/[ _-]+/).filter((word) => word !== "");
  const spelled = words.join("-");
  return spelled === "layer" ? "response" : FIGURE_KEYS.find((key) => key === spelled);
}

/** What DataFrames, and what is copied, call a column. */
export function nameOf(key: FigureKey): string {
  return key.replaceAll("-", " ");
}

/** What a column is called on the page. */
export function calledOnPage(key: FigureKey): string {
  return COLUMNS.find((column) => column.key === key)?.called ?? nameOf(key);
}

const TEXTS: ReadonlySet<FigureKey> = new Set(["response", "kind", "unit", "shape"]);

export function isText(key: FigureKey): key is TextKey {
  return TEXTS.has(key);
}

const SHARES: ReadonlySet<FigureKey> = new Set([
  "inactive-share",
  "dead-share",
  "share-at-bound",
  "share-over-tolerance",
  "newly-dead-share",
]);

/** Whether the numbers are shares, which may be compared with a percentage. */
export function isShare(key: FigureKey): boolean {
  return SHARES.has(key);
}
