/** The columns of the layer table: their names, here and in Python. */

export type ColumnKey =
  | "name"
  | "kind"
  | "units"
  | "mean"
  | "share"
  | "std"
  | "dead"
  | "dead-share"
  | "dormant"
  | "curve";

export type TextKey = "name" | "kind";
export type NumericKey = Exclude<ColumnKey, TextKey>;

export interface Column {
  readonly key: ColumnKey;
  /** Lines of the header. */
  readonly label: string;
  /** In menus, announcements and what is copied; DataFrames name it so, too. */
  readonly heading: string;
  readonly title: string;
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
    title: "Units inactive on every probe, or on the share of the probes that is set above",
  },
  {
    key: "dead-share",
    label: "dead\nshare",
    heading: "dead share",
    title: "Dead units as a share of all units",
  },
  {
    key: "dormant",
    label: "dormant\nunits",
    heading: "dormant units",
    title: "Units whose mean |x| is at most rtol times the layer's mean |x|",
  },
  {
    key: "curve",
    label: "over\ntolerance",
    heading: "share over tolerance",
    title:
      "Inactive share at every stop of atol; the mark is the threshold in force. Sorts by the area under the curve",
  },
];

const BY_KEY: ReadonlyMap<string, Column> = new Map(COLUMNS.map((column) => [column.key, column]));

/** The column of a name that may come from elsewhere, or undefined. */
export function columnOf(key: string): Column | undefined {
  return BY_KEY.get(key);
}

export function isText(key: ColumnKey): key is TextKey {
  return key === "name" || key === "kind";
}
