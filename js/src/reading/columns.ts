/** The columns of the layer table: their names, here and in Python. */

export type TextKey = "name" | "kind" | "unit" | "shape";
export type NumericKey =
  | "units"
  | "mean"
  | "share"
  | "std"
  | "dead"
  | "dead-share"
  | "dead-channels"
  | "channels"
  | "dormant"
  | "load"
  | "curve"
  | "probes"
  | "masked"
  | "stops"
  | "nan"
  | "infinite"
  | "mean-upper"
  | "dead-upper";
/** What rows can be sorted and filtered by. */
export type FigureKey = TextKey | NumericKey;
/** What has a column of its own; the others stand beside or below what they belong to. */
export type ColumnKey = Exclude<FigureKey, "unit" | "shape" | "mean-upper" | "dead-upper">;
/** Columns of numbers: those of texts and of curves left out. */
export type NumberKey = Exclude<ColumnKey, "name" | "kind" | "curve">;

export interface Column {
  readonly key: ColumnKey;
  /** Lines of the header. */
  readonly label: string;
  /** In menus, announcements and what is copied; DataFrames name it so, too. */
  readonly heading: string;
  /** On the page, where the heading is a word of the documentation. */
  readonly menu?: string;
  readonly title: string;
  /** Shown only where the user asks for it. */
  readonly onRequest?: true;
}

export const COLUMNS: readonly Column[] = [
  { key: "name", label: "layer", heading: "layer", title: "Name of the layer" },
  { key: "kind", label: "kind", heading: "kind", title: "What computes the responses" },
  { key: "units", label: "units", heading: "units", title: "Number of units, and their shape" },
  {
    key: "mean",
    label: "mean\ninactive",
    heading: "mean inactive",
    title: "Inactive units on one probe, averaged over the probes",
  },
  {
    key: "share",
    label: "inactive\nshare",
    heading: "inactive share",
    title: "Mean inactive units as a share of all units",
  },
  {
    key: "std",
    label: "std",
    heading: "std inactive",
    title: "Population standard deviation of inactive units over the probes",
  },
  {
    key: "dead",
    label: "dead\nunits",
    heading: "dead units",
    title:
      "Units inactive on every probe on which they are finite, or on the share of these that is set above",
  },
  {
    key: "dead-share",
    label: "dead\nshare",
    heading: "dead share",
    title: "Dead units as a share of all units",
  },
  {
    key: "dead-channels",
    label: "dead\nchannels",
    heading: "dead channels",
    title: "Channels of which every unit is dead, where a channel has several",
    onRequest: true,
  },
  {
    key: "channels",
    label: "channels",
    heading: "channels",
    title: "Number of channels, where a channel has several units",
    onRequest: true,
  },
  {
    key: "dormant",
    label: "dormant",
    heading: "dormant",
    title: "Units, in maps channels, with a mean |x| of at most τ times the mean of their layer",
  },
  {
    key: "load",
    label: "load",
    heading: "load",
    title: "Tokens of an expert over an even share of those of its mixture, padding left out",
  },
  { key: "probes", label: "probes", heading: "probes", title: "Probes counted", onRequest: true },
  {
    key: "masked",
    label: "masked",
    heading: "masked",
    title: "Positions left out as padding",
    onRequest: true,
  },
  {
    key: "stops",
    label: "tolerances\nheld",
    heading: "stops",
    menu: "tolerances held",
    title: "At how many tolerances its units are counted; between these they are known as a range",
    onRequest: true,
  },
  { key: "nan", label: "nan", heading: "nan", title: "Responses that were NaN", onRequest: true },
  {
    key: "infinite",
    label: "infinite",
    heading: "infinite",
    title: "Responses that were infinite",
    onRequest: true,
  },
  {
    key: "curve",
    label: "over\ntolerance",
    heading: "share over tolerance",
    title:
      "Inactive share at every atol; the mark is the threshold in force. Sorts by the area under the curve",
  },
];

/** Figures without a column of their own, by their names in DataFrames. */
const BESIDE: Readonly<Record<Exclude<FigureKey, ColumnKey>, string>> = {
  "mean-upper": "mean inactive upper",
  "dead-upper": "dead units upper",
  unit: "unit",
  shape: "shape",
};

const HEADINGS: ReadonlyMap<FigureKey, string> = new Map([
  ...COLUMNS.map(({ key, heading }): [FigureKey, string] => [key, heading]),
  ...(Object.entries(BESIDE) as [FigureKey, string][]),
]);

/** All that rows can be sorted and filtered by, in the order of Python's `COLUMNS`. */
export const FIGURE_KEYS: readonly FigureKey[] = [...HEADINGS.keys()];

const BY_SPELLING: ReadonlyMap<string, FigureKey> = new Map<string, FigureKey>([
  ...[...HEADINGS].map(([key, heading]): [string, FigureKey] => [heading.replace(/ /g, "-"), key]),
  ...FIGURE_KEYS.map((key): [string, FigureKey] => [key, key]),
  ["response", "name"],
  ["dormant-units", "dormant"],
]);

/** What a name stands for: a key, or a heading of DataFrames, with blanks or hyphens. */
export function findFigure(name: string): FigureKey | undefined {
  const plain = name.toLowerCase().replace(/^dormant \(tau [0-9.e+-]+\)$/, "dormant");
  const spelled = plain.split(/[ _-]+/);
  return BY_SPELLING.get(spelled.filter((part) => part !== "").join("-"));
}

/** What a column is called on the page. */
export function headingOf(key: FigureKey): string {
  return COLUMNS.find((column) => column.key === key)?.menu ?? HEADINGS.get(key) ?? key;
}

const TEXTS: ReadonlySet<FigureKey> = new Set(["name", "kind", "unit", "shape"]);

export function isText(key: FigureKey): key is TextKey {
  return TEXTS.has(key);
}

const SHARES: ReadonlySet<FigureKey> = new Set(["share", "dead-share", "curve"]);

/** Whether the numbers are shares, which may be compared with a percentage. */
export function isShare(key: FigureKey): boolean {
  return SHARES.has(key);
}
