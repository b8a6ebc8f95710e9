/** The figures of all layers at given tolerances, in columns of numbers that a slider step reuses. */

import { type FigureKey, isText, type NumericKey, type TextKey } from "./columns";
import type { Change } from "./comparison";
import { type LayerChanges, makeChanges, readChanges } from "./layer_changes";
import { type LayerReading, neuronsOf, readLayer } from "./layer_reading";
import { type SortValues, textKey } from "./row_order";
import type { LayerMeta, TableSnapshot } from "./snapshot";
import { isPerUnit, locate, locateLayer, sameThresholds, type Tolerances } from "./threshold";

/** One number a layer; NaN where there is none. */
interface Bounds {
  readonly mean: Float64Array;
  readonly std: Float64Array;
  readonly dead: Float64Array;
  /** NaN where a channel is one unit. */
  readonly deadChannels: Float64Array;
  readonly dormant: Float64Array;
}

/** What does not depend on tolerances, made when it is first asked for. */
interface Kept {
  readonly texts: Map<TextKey, readonly string[]>;
  areas: Float64Array | null;
}

export type Side = "lower" | "upper";

/** The figures of several layers together. */
export interface Totals {
  readonly layers: number;
  readonly units: number;
  /** Whether a probe has reached any of them; without, there are no figures. */
  readonly counted: boolean;
  readonly exact: boolean;
  value(key: NumericKey, side: Side): number;
}

/** Besides those that are summed at every step. */
const ADDED_UP: ReadonlySet<NumericKey> = new Set([
  "newly-dead",
  "revived",
  "dead-channels",
  "channels",
  "masked",
  "nan",
  "infinite",
]);

function makeBounds(layers: number): Bounds {
  return {
    mean: new Float64Array(layers),
    std: new Float64Array(layers),
    dead: new Float64Array(layers),
    deadChannels: new Float64Array(layers),
    dormant: new Float64Array(layers),
  };
}

/** Whether figures at these tolerances are columns of the table, and nothing has to be worked out. */
function isAtStops({ recount, deadAt }: TableSnapshot, tolerances: Tolerances): boolean {
  const recounted = recount !== null && sameThresholds(recount.at, tolerances);
  return !recounted && !isPerUnit(tolerances) && tolerances.dead_at === deadAt;
}

export class TableReading {
  readonly table: TableSnapshot;
  readonly #lower: Bounds;
  readonly #upper: Bounds;
  readonly #exact: Uint8Array;
  readonly #changes: LayerChanges;
  readonly #kept: Kept;
  #tolerances: Tolerances | null = null;

  /** `before`: a reading of the same table, whose columns are written over. */
  constructor(table: TableSnapshot, before: TableReading | null = null) {
    this.table = table;
    const layers = table.layers.length;
    this.#lower = before === null ? makeBounds(layers) : before.#lower;
    this.#upper = before === null ? makeBounds(layers) : before.#upper;
    this.#exact = before === null ? new Uint8Array(layers) : before.#exact;
    this.#changes = before === null ? makeChanges(layers) : before.#changes;
    this.#kept = before === null ? { texts: new Map(), areas: null } : before.#kept;
  }

  get layers(): number {
    return this.table.layers.length;
  }

  meta(layer: number): LayerMeta {
    return this.table.layers[layer] as LayerMeta;
  }

  /** Read all layers at these tolerances; the reading before is no longer valid. */
  read(tolerances: Tolerances): TableReading {
    const reading = new TableReading(this.table, this);
    reading.#fill(tolerances);
    return reading;
  }

  #fill(tolerances: Tolerances): void {
    this.#tolerances = tolerances;
    readChanges(this.table, tolerances, this.#changes);
    if (isAtStops(this.table, tolerances)) this.#readAtStops(tolerances);
    else {
      for (let layer = 0; layer < this.layers; layer++) {
        const { lower, upper, exact } = readLayer(this.table, layer, tolerances);
        this.#put(this.#lower, layer, lower);
        this.#put(this.#upper, layer, upper);
        this.#exact[layer] = Number(exact);
      }
    }
  }

  /** What `readLayer` gives where each layer's figures are two of its columns. */
  #readAtStops(tolerances: Tolerances): void {
    const { table } = this;
    const { stops, tauStops } = table;
    const columns = stops.length + 1;
    const taus = tauStops.length;
    const tau = locate(tauStops, tolerances.tau);
    const shared = tolerances.rtol === 0 || tolerances.scale === "zero";
    let place = locate(stops, tolerances.atol);
    const dormant = (layer: number, stop: number): number =>
      stop < taus ? (table.dormant[layer * taus + stop] as number) : neuronsOf(this.meta(layer));
    for (let layer = 0; layer < this.layers; layer++) {
      if (!shared) place = locateLayer(stops, tolerances, this.meta(layer).mean_abs);
      const lower = layer * columns + place.lower;
      const upper = layer * columns + place.upper;
      this.#lower.mean[layer] = table.mean[lower] as number;
      this.#lower.std[layer] = table.std[lower] as number;
      this.#lower.dead[layer] = table.dead[lower] as number;
      this.#lower.deadChannels[layer] = this.#ofChannels(layer, table.deadChannels[lower]);
      this.#lower.dormant[layer] = dormant(layer, tau.lower);
      this.#upper.mean[layer] = table.mean[upper] as number;
      this.#upper.std[layer] = table.std[upper] as number;
      this.#upper.dead[layer] = table.deadUpper[upper] as number;
      this.#upper.deadChannels[layer] = this.#ofChannels(layer, table.deadChannelsUpper[upper]);
      this.#upper.dormant[layer] = dormant(layer, tau.upper);
      this.#exact[layer] = Number(place.exact);
    }
  }

  #put(bounds: Bounds, layer: number, bound: LayerReading["lower"]): void {
    bounds.mean[layer] = bound.mean;
    bounds.std[layer] = bound.std ?? Number.NaN;
    bounds.dead[layer] = bound.dead;
    bounds.deadChannels[layer] = this.#ofChannels(layer, bound.deadChannels);
    bounds.dormant[layer] = bound.dormant;
  }

  #ofChannels(layer: number, count: number | undefined): number {
    return this.meta(layer).channels === null ? Number.NaN : (count as number);
  }

  get tau(): number {
    return (this.#tolerances as Tolerances).tau;
  }

  /** All there is to know of one layer. */
  layer(layer: number): LayerReading {
    return readLayer(this.table, layer, this.#tolerances as Tolerances);
  }

  counted(layer: number): boolean {
    return this.meta(layer).probes > 0;
  }

  exact(layer: number): boolean {
    return this.#exact[layer] === 1;
  }

  /** Whether every layer that has figures has exact ones. */
  get allExact(): boolean {
    return this.#exact.every((exact, layer) => exact === 1 || !this.counted(layer));
  }

  /** Mean inactive share of all units of all layers; NaN where nothing finite has come yet. */
  get share(): number {
    let inactive = 0;
    let units = 0;
    for (let layer = 0; layer < this.layers; layer++) {
      if (!this.counted(layer) || this.broken(layer)) continue;
      inactive += this.#lower.mean[layer] as number;
      units += this.meta(layer).units;
    }
    return inactive / units;
  }

  /** The number in a cell; NaN when the layer has none to show. */
  value(layer: number, key: NumericKey, side: Side = "lower"): number {
    const meta = this.meta(layer);
    const { units, probes } = meta;
    switch (key) {
      case "units":
      case "probes":
      case "masked":
      case "stops":
      case "nan":
      case "infinite":
        return meta[key];
      case "channels":
        return meta.channels ?? Number.NaN;
      case "load":
        return meta.load ?? Number.NaN;
      case "share-at-bound":
        return meta.share_at_bound ?? Number.NaN;
    }
    if (probes === 0) return Number.NaN;
    const bounds = side === "lower" ? this.#lower : this.#upper;
    switch (key) {
      case "mean-inactive":
        return bounds.mean[layer] as number;
      case "mean-inactive-upper":
        return this.#upper.mean[layer] as number;
      case "std-inactive":
        return bounds.std[layer] as number;
      case "dead-units":
        return bounds.dead[layer] as number;
      case "dead-units-upper":
        return this.#upper.dead[layer] as number;
      case "dead-channels":
        return bounds.deadChannels[layer] as number;
      case "inactive-share":
        return (bounds.mean[layer] as number) / units;
      case "newly-dead":
        return this.#changed("newlyDead", layer, side);
      case "revived":
        return this.#changed("revived", layer, side);
      case "dead-in-both":
        return this.#changed("deadInBoth", layer, side);
      case "newly-dead-share":
        return this.#changed("newlyDead", layer, side) / units;
      case "dead-share":
        return (bounds.dead[layer] as number) / units;
      case "share-over-tolerance":
        return this.#area(layer);
      case "dormant":
        return bounds.dormant[layer] as number;
    }
  }

  #changed(change: Change, layer: number, side: Side): number {
    if (this.table.comparison === null) return Number.NaN;
    return this.#changes[change][side][layer] as number;
  }

  text(layer: number, key: TextKey): string {
    const meta = this.meta(layer);
    if (key === "response") return meta.name;
    if (key !== "shape") return meta[key];
    return meta.response_shape.map((length) => length ?? "*").join("x");
  }

  /** What the rows are sorted by. */
  sortValues(key: FigureKey): SortValues {
    if (!isText(key)) {
      return Float64Array.from({ length: this.layers }, (_, layer) => this.value(layer, key));
    }
    const { texts: kept } = this.#kept;
    const known = kept.get(key);
    if (known !== undefined) return known;
    const texts = this.table.layers.map((_, layer) => textKey(this.text(layer, key)));
    kept.set(key, texts);
    return texts;
  }

  /** Mean share over the stops: the area under a layer's curve. */
  #area(layer: number): number {
    this.#kept.areas ??= Float64Array.from({ length: this.layers }, (_, each) => {
      const curve = shareCurve(this.table, [each]);
      return curve.reduce((sum, share) => sum + share, 0) / curve.length;
    });
    return this.#kept.areas[layer] as number;
  }

  totals(layers: ArrayLike<number>): Totals {
    const sums = {
      lower: { mean: 0, dead: 0, dormant: 0 },
      upper: { mean: 0, dead: 0, dormant: 0 },
    };
    let units = 0;
    let countedUnits = 0;
    let exact = true;
    for (let each = 0; each < layers.length; each++) {
      const layer = layers[each] as number;
      units += this.meta(layer).units;
      if (!this.counted(layer)) continue;
      countedUnits += this.meta(layer).units;
      exact &&= this.exact(layer);
      for (const [sum, bounds] of [
        [sums.lower, this.#lower],
        [sums.upper, this.#upper],
      ] as const) {
        sum.mean += bounds.mean[layer] as number;
        sum.dead += bounds.dead[layer] as number;
        sum.dormant += bounds.dormant[layer] as number;
      }
    }
    const counted = countedUnits > 0;
    return {
      layers: layers.length,
      units,
      counted,
      exact,
      value: (key, side) => {
        if (key === "units") return units;
        if (!counted) return Number.NaN;
        const sum = sums[side];
        if (key === "inactive-share") return sum.mean / countedUnits;
        if (key === "dead-share") return sum.dead / countedUnits;
        if (key === "mean-inactive") return sum.mean;
        if (key === "dead-units") return sum.dead;
        if (key === "dormant") return sum.dormant;
        return ADDED_UP.has(key) ? this.#added(layers, key, side) : Number.NaN;
      },
    };
  }

  #added(layers: ArrayLike<number>, key: NumericKey, side: Side): number {
    const values = Array.from(layers, (layer) => this.value(layer, key, side));
    const known = values.filter((value) => !Number.isNaN(value));
    return known.length > 0 ? known.reduce((sum, value) => sum + value, 0) : Number.NaN;
  }

  /** In how many layers at least this share of the units is dead. */
  layersOver(share: number): number {
    let over = 0;
    for (let layer = 0; layer < this.layers; layer++) {
      if (this.value(layer, "dead-share") >= share) over++;
    }
    return over;
  }

  /** Whether nothing finite ever came from a layer: its zeros then mean nothing. */
  broken(layer: number): boolean {
    const { nan, infinite, mean_abs } = this.meta(layer);
    const columns = this.table.stops.length + 1;
    const everFinite = this.table.mean[(layer + 1) * columns - 1] as number;
    return nan + infinite > 0 && (mean_abs ?? 0) === 0 && everFinite === 0;
  }
}

/** Mean inactive share of several layers together at each stop: their curve over tolerance. */
export function shareCurve(table: TableSnapshot, layers: ArrayLike<number>): Float64Array {
  const curve = new Float64Array(table.stops.length);
  let units = 0;
  for (let each = 0; each < layers.length; each++) {
    const layer = layers[each] as number;
    const meta = table.layers[layer] as LayerMeta;
    if (meta.probes === 0 && layers.length > 1) continue;
    units += meta.units;
    const row = layer * (curve.length + 1);
    for (let stop = 0; stop < curve.length; stop++) {
      curve[stop] = (curve[stop] as number) + (table.mean[row + stop] as number);
    }
  }
  return units > 0 ? curve.map((sum) => sum / units) : curve;
}
