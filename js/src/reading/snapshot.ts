/** Decodes what the kernel sends in bulk: a JSON header and typed arrays in one block of bytes. */

import { CHANGES } from "./comparison";
import type { Scale, Threshold } from "./threshold";

const MAGIC = "IUAW";
const FORMAT_VERSION = 3;
const PREAMBLE_BYTES = 16;

export type NumericArray = Uint8Array | Uint16Array | Uint32Array | Float32Array | Float64Array;

interface Snapshot {
  readonly meta: Readonly<Record<string, unknown>>;
  readonly arrays: ReadonlyMap<string, NumericArray>;
}

export interface LayerMeta {
  readonly name: string;
  readonly kind: string;
  readonly dtype: string;
  /** The unit shape: without the batch axis; empty for a single unit. */
  readonly shape: readonly number[];
  /** What one input gives; null where the length varies. */
  readonly response_shape: readonly (number | null)[];
  readonly unit: "element" | "channel" | "token";
  /** How many channels, where one has several units. */
  readonly channels: number | null;
  /** Of an expert of a mixture: its tokens over an even share; null elsewhere. */
  readonly load: number | null;
  /** Of its finite responses; null where no bound is known. */
  readonly share_at_bound: number | null;
  /** Positions left out as padding. */
  readonly masked: number;
  /** At how many stops counts of units are held: fewer than there are where memory was short. */
  readonly stops: number;
  readonly units: number;
  readonly probes: number;
  readonly nan: number;
  readonly infinite: number;
  /** The least probes on which a unit was finite, of those that ever were. */
  readonly finite_probes: number;
  readonly mean_abs: number | null;
}

/** Layer-major curves over the columns: K stops, then one column for any finite value. */
export interface TableSnapshot {
  readonly stops: readonly number[];
  readonly rtolStops: readonly number[];
  readonly tauStops: readonly number[];
  readonly probes: number;
  readonly layers: readonly LayerMeta[];
  readonly mean: NumericArray;
  readonly std: NumericArray;
  readonly dead: NumericArray;
  /** Zero for layers without `channels`. */
  readonly deadChannels: NumericArray;
  /** The share of probes that `dead` and `deadChannels` were counted with. */
  readonly deadAt: number;
  /** Bounds above on the two; the same arrays where they are exact at every stop. */
  readonly deadUpper: NumericArray;
  readonly deadChannelsUpper: NumericArray;
  /** Dormant units, or channels, of each layer at each of `tauStops`, layer-major. */
  readonly dormant: NumericArray;
  readonly unitScales: UnitScaleCurves;
  readonly recount: TableRecount | null;
  /** Null where it is compared with no other result. */
  readonly comparison: TableComparison | null;
}

/**
 * Bounds where units have thresholds of their own, at every stop of rtol and at one atol: arrays
 * of shape (scales, 2 bounds, layers, stops of rtol).
 */
interface UnitScaleCurves {
  readonly scales: readonly Scale[];
  readonly atol: number;
  readonly mean: NumericArray;
  readonly dead: NumericArray;
  readonly deadChannels: NumericArray;
}

/** Exact figures of every layer at the tolerances of a recount. */
interface TableRecount {
  readonly at: Threshold;
  readonly mean: NumericArray;
  readonly std: NumericArray;
  readonly dead: NumericArray;
  readonly deadChannels: NumericArray;
}

/** The names of what is counted to tell causes: in Python columns of `iua.units`. */
export const EVIDENCE = ["max pre-activation", "range", "share at bound"] as const;
export type Evidence = (typeof EVIDENCE)[number];

/** Stop-major cumulative counts of one layer, for those columns that were sent. */
export interface UnitsSnapshot {
  readonly layer: string;
  /** Of the units as they come here: channels first where there are several axes besides. */
  readonly shape: readonly number[];
  /** Where in the layer's own order the axis of channels is that comes first here. */
  readonly channel_axis: number;
  readonly units: number;
  readonly probes: number;
  readonly stops: readonly number[];
  readonly columns: readonly number[];
  readonly counts: NumericArray;
  /** Mean |x| of each unit, root of the mean square, largest |x|; null where there was no room. */
  readonly mean_abs: Float32Array | null;
  readonly rms: Float32Array | null;
  readonly max_abs: Float32Array | null;
  /**
   * Where counts were not kept, and no columns are here: from which column on each unit is dead,
   * beyond all of them where it never is.
   */
  readonly dead_from: NumericArray | null;
  /** The share of probes on which such a unit is inactive. */
  readonly dead_at: number;
  /** The columns at which that is known; null where it is at all. */
  readonly known: readonly number[] | null;
  /** What was counted to tell causes, of each unit. */
  readonly evidence: ReadonlyMap<Evidence, NumericArray>;
  /** Why each would be dead: codes of words; null where that is not known. */
  readonly findings: { readonly words: readonly string[]; readonly codes: NumericArray } | null;
  /** Exact counts at the tolerances of a recount, or null. */
  readonly recounted: Threshold | null;
  readonly recount: NumericArray | null;
  /** Null where the layer is not compared, or there was no room. */
  readonly comparison: UnitsComparison | null;
}

/** A layer that is compared. */
interface ComparedLayer {
  /** Mean |x| before. */
  readonly mean_abs: number;
  /** The columns at which units are counted, before and after; null where these are all. */
  readonly counted: readonly number[] | null;
  readonly counted_after: readonly number[] | null;
}

/** Figures of all layers, layer-major. */
export interface TableComparison {
  /** Of the result before. */
  readonly stops: readonly number[];
  /** Null where nothing is compared. */
  readonly layers: readonly (ComparedLayer | null)[];
  /** How many units are dead from one column on before and from one after; layer after layer. */
  readonly pairBefore: NumericArray;
  readonly pairAfter: NumericArray;
  readonly pairUnits: NumericArray;
  /** Where the pairs of each layer end. */
  readonly pairEnd: NumericArray;
  /** Of shape (scales, changes, 2 bounds, layers, stops of rtol). */
  readonly scaleChanges: NumericArray;
  /** Tolerances at which one of the two results was counted again. */
  readonly exactAt: readonly Threshold[];
  /** Of shape (exactAt, changes, 2 bounds, layers). */
  readonly exactChanges: NumericArray;
}

/** Of one layer, unit by unit. */
export interface UnitsComparison extends ComparedLayer {
  readonly stops: readonly number[];
  readonly deadAt: number;
  readonly exactAt: readonly Threshold[];
  /** The scale of the units and the atol that `scaleDeadFrom` is for; null for none. */
  readonly scale: Scale | null;
  readonly atol: number;
  /** Columns; the number of all where a unit was finite on no probe. */
  readonly beforeDeadFrom: NumericArray;
  readonly deadFrom: NumericArray;
  /** Stops of rtol, of shape (4, units): surely before, perhaps before, surely, perhaps. */
  readonly scaleDeadFrom: NumericArray | null;
  /** Fates, of shape (exactAt, units). */
  readonly exactChanges: NumericArray | null;
}

export class SnapshotError extends Error {
  override readonly name = "SnapshotError";
}

const CONSTRUCTORS = {
  u1: Uint8Array,
  u2: Uint16Array,
  u4: Uint32Array,
  f4: Float32Array,
  f8: Float64Array,
} as const;

interface ArrayEntry {
  dtype: string;
  shape: number[];
  offset: number;
}

function product(shape: readonly number[]): number {
  return shape.reduce((all, size) => all * size, 1);
}

/** A view of the same bytes whose arrays may start at any multiple of 8. */
function aligned(bytes: DataView): DataView {
  if (bytes.byteOffset % 8 === 0) return bytes;
  const copy = new Uint8Array(bytes.byteLength);
  copy.set(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  return new DataView(copy.buffer);
}

function readArray(bytes: DataView, name: string, entry: ArrayEntry): NumericArray {
  const ArrayType = CONSTRUCTORS[entry.dtype as keyof typeof CONSTRUCTORS];
  if (ArrayType === undefined) {
    throw new SnapshotError(`Array “${name}” has the unknown type “${entry.dtype}”.`);
  }
  const length = product(entry.shape);
  const end = entry.offset + length * ArrayType.BYTES_PER_ELEMENT;
  if (entry.offset % 8 !== 0 || end > bytes.byteLength) {
    throw new SnapshotError(`Array “${name}” does not fit in the data that arrived.`);
  }
  return new ArrayType(bytes.buffer as ArrayBuffer, bytes.byteOffset + entry.offset, length);
}

export function decode(data: DataView): Snapshot {
  if (data.byteLength < PREAMBLE_BYTES) {
    throw new SnapshotError("The data that arrived is cut short.");
  }
  const magic = String.fromCharCode(...new Uint8Array(data.buffer, data.byteOffset, 4));
  if (magic !== MAGIC) {
    throw new SnapshotError(
      "The data that arrived is not from iua_widget. " +
        "Update iua_widget, restart the kernel and reload the page.",
    );
  }
  const version = data.getUint32(4, true);
  if (version !== FORMAT_VERSION) {
    throw new SnapshotError(
      `The data has format ${version}; this page reads format ${FORMAT_VERSION}. ` +
        "Update iua_widget, restart the kernel and reload the page.",
    );
  }
  const headerLength = data.getUint32(8, true);
  if (PREAMBLE_BYTES + headerLength > data.byteLength) {
    throw new SnapshotError("The data that arrived ends before its header does.");
  }
  const bytes = aligned(data);
  const text = new TextDecoder().decode(
    new Uint8Array(bytes.buffer, bytes.byteOffset + PREAMBLE_BYTES, headerLength),
  );
  let header: { meta: Record<string, unknown>; arrays: Record<string, ArrayEntry> };
  try {
    header = JSON.parse(text);
  } catch {
    throw new SnapshotError("The header of the data that arrived cannot be read.");
  }
  const arrays = new Map<string, NumericArray>();
  for (const [name, entry] of Object.entries(header.arrays)) {
    arrays.set(name, readArray(bytes, name, entry));
  }
  return { meta: header.meta, arrays };
}

/** Decode what is to be of this kind: "table", "units", "worst", "history", "life" or "dead". */
export function decodeAs(kind: string, data: DataView): Snapshot {
  const snapshot = decode(data);
  if (snapshot.meta.kind !== kind) {
    throw new SnapshotError(`Expected data of the kind “${kind}”, got “${snapshot.meta.kind}”.`);
  }
  return snapshot;
}

export function take({ meta, arrays }: Snapshot, name: string, length: number): NumericArray {
  const array = arrays.get(name);
  if (array === undefined || array.length !== length) {
    throw new SnapshotError(`The data of the ${meta.kind} lacks its array “${name}”.`);
  }
  return array;
}

export function decodeTable(data: DataView): TableSnapshot {
  const snapshot = decodeAs("table", data);
  const meta = snapshot.meta as unknown as {
    stops: number[];
    rtol_stops: number[];
    tau_stops: number[];
    probes: number;
    dead_at: number;
    unit_scales?: Scale[];
    unit_atol?: number;
    recounted?: Threshold | null;
    comparison?: ComparisonMeta;
    layers: LayerMeta[];
  };
  const layers = meta.layers.length;
  const scales = meta.unit_scales ?? [];
  const overRtol = scales.length * 2 * layers * meta.rtol_stops.length;
  const cells = meta.layers.length * (meta.stops.length + 1);
  const one = (name: string, length: number): NumericArray => take(snapshot, name, length);
  const upper = (name: string): NumericArray =>
    one(snapshot.arrays.has(`${name}_upper`) ? `${name}_upper` : name, cells);
  return {
    stops: meta.stops,
    rtolStops: meta.rtol_stops,
    tauStops: meta.tau_stops,
    probes: meta.probes,
    layers: meta.layers,
    mean: one("mean", cells),
    std: one("std", cells),
    dead: one("dead", cells),
    deadChannels: one("dead_channels", cells),
    deadAt: meta.dead_at,
    deadUpper: upper("dead"),
    deadChannelsUpper: upper("dead_channels"),
    dormant: one("dormant", layers * meta.tau_stops.length),
    unitScales: {
      scales,
      atol: meta.unit_atol ?? 0,
      mean: scales.length === 0 ? new Float64Array(0) : one("unit_mean", overRtol),
      dead: scales.length === 0 ? new Uint32Array(0) : one("unit_dead", overRtol),
      deadChannels: scales.length === 0 ? new Uint32Array(0) : one("unit_dead_channels", overRtol),
    },
    recount:
      meta.recounted == null
        ? null
        : {
            at: meta.recounted,
            mean: one("recount_mean", layers),
            std: one("recount_std", layers),
            dead: one("recount_dead", layers),
            deadChannels: one("recount_dead_channels", layers),
          },
    comparison:
      meta.comparison === undefined
        ? null
        : tableComparison(snapshot, meta.comparison, layers, overRtol),
  };
}

interface ComparisonMeta {
  readonly stops: readonly number[];
  readonly layers: readonly (ComparedLayer | null)[];
  readonly exact_at: readonly Threshold[];
}

function tableComparison(
  snapshot: Snapshot,
  { stops, layers, exact_at: exactAt }: ComparisonMeta,
  length: number,
  overRtol: number,
): TableComparison {
  const pairEnd = take(snapshot, "pair_end", length);
  const pairs = pairEnd[length - 1] ?? 0;
  return {
    stops,
    layers,
    exactAt,
    pairBefore: take(snapshot, "pair_before", pairs),
    pairAfter: take(snapshot, "pair_after", pairs),
    pairUnits: take(snapshot, "pair_units", pairs),
    pairEnd,
    scaleChanges: take(snapshot, "scale_changes", CHANGES.length * overRtol),
    exactChanges: take(snapshot, "exact_changes", exactAt.length * CHANGES.length * 2 * length),
  };
}

export function decodeUnits(data: DataView): UnitsSnapshot {
  const snapshot = decodeAs("units", data);
  const meta = snapshot.meta as unknown as Omit<
    UnitsSnapshot,
    "counts" | "recount" | "comparison" | "dead_from" | "evidence" | "findings"
  > & { readonly comparison?: UnitsComparisonMeta; readonly findings?: readonly string[] };
  const magnitudes = (name: string): Float32Array | null =>
    snapshot.arrays.has(name) ? (take(snapshot, name, meta.units) as Float32Array) : null;
  return {
    layer: meta.layer,
    shape: meta.shape,
    channel_axis: meta.channel_axis,
    units: meta.units,
    probes: meta.probes,
    stops: meta.stops,
    columns: meta.columns,
    counts:
      meta.columns.length === 0
        ? new Uint8Array(0)
        : take(snapshot, "counts", meta.columns.length * meta.units),
    mean_abs: magnitudes("mean_abs"),
    rms: magnitudes("rms"),
    max_abs: magnitudes("max_abs"),
    dead_from: meta.columns.length === 0 ? take(snapshot, "dead_from", meta.units) : null,
    dead_at: meta.dead_at ?? 1,
    known: meta.known ?? null,
    evidence: new Map(
      EVIDENCE.filter((name) => snapshot.arrays.has(name)).map((name) => [
        name,
        take(snapshot, name, meta.units),
      ]),
    ),
    findings:
      meta.findings === undefined
        ? null
        : { words: meta.findings, codes: take(snapshot, "findings", meta.units) },
    recounted: meta.recounted ?? null,
    recount: snapshot.arrays.has("recount") ? take(snapshot, "recount", meta.units) : null,
    comparison:
      meta.comparison === undefined ? null : unitsComparison(snapshot, meta.comparison, meta.units),
  };
}

interface UnitsComparisonMeta extends ComparedLayer {
  readonly stops: readonly number[];
  readonly dead_at: number;
  readonly exact_at: readonly Threshold[];
  readonly scale: Scale | null;
  readonly atol: number;
}

function unitsComparison(
  snapshot: Snapshot,
  { dead_at: deadAt, exact_at: exactAt, ...meta }: UnitsComparisonMeta,
  units: number,
): UnitsComparison {
  return {
    ...meta,
    deadAt,
    exactAt,
    beforeDeadFrom: take(snapshot, "before_dead_from", units),
    deadFrom: take(snapshot, "dead_from", units),
    scaleDeadFrom: meta.scale === null ? null : take(snapshot, "scale_dead_from", 4 * units),
    exactChanges:
      exactAt.length === 0 ? null : take(snapshot, "exact_changes", exactAt.length * units),
  };
}
