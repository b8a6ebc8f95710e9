/** The worst units of the network as the kernel ranked them, and the tolerances it ranked them at. */

import { formatShare, formatTolerance } from "../reading/format";
import { SCALES } from "../reading/rule_words";
import { decodeAs, type NumericArray, SnapshotError } from "../reading/snapshot";
import { sameThresholds, stopAtMost, type Threshold, type Tolerances } from "../reading/threshold";
import { MOST_SELECTED } from "../reading/unit_selection";

interface WorstLayer {
  readonly name: string;
  /** What is ranked of it. */
  readonly what: "channel" | "unit";
  /** The unit shape: without the batch axis. */
  readonly shape: readonly number[];
  /** The axis of the channels, where a channel has several units. */
  readonly channel_axis: number | null;
}

export interface WorstUnit {
  /** From 1. */
  readonly rank: number;
  readonly layer: WorstLayer;
  /** The channel, or the unit's index in the layer's own C order. */
  readonly unit: number;
  /** Shares of the probes on which it was finite; NaN where it was on none. */
  readonly share: number;
  readonly shareUpper: number;
  readonly meanAbs: number;
  readonly rms: number;
  readonly maxAbs: number;
  /** Of how many units it consists: the positions of a channel. */
  readonly units: number;
  readonly deadUnits: number;
  readonly deadUnitsUpper: number;
}

export type Ranked = Threshold & Pick<Tolerances, "dead_at">;

export interface WorstList {
  readonly units: readonly WorstUnit[];
  readonly probes: number;
  /** At which tolerances it was ranked, where these are not those on show. */
  readonly other: Ranked | null;
}

interface Meta {
  readonly kind: string;
  readonly probes: number;
  readonly listed: number;
  readonly scale: Tolerances["scale"];
  readonly dead_at: number;
  /** rtol, atol, and the number of the list. */
  readonly at: readonly (readonly [number, number, number])[];
  readonly layers: readonly WorstLayer[];
}

/** Lists of the worst units at many tolerances, of which one is on show. */
export class WorstUnits {
  readonly #meta: Meta;
  readonly #entry: (name: string) => NumericArray;
  readonly #lists: ReadonlyMap<string, NumericArray>;

  constructor(data: DataView) {
    const { meta, arrays } = decodeAs("worst", data);
    this.#meta = meta as unknown as Meta;
    this.#lists = arrays;
    this.#entry = (name) => {
      const array = arrays.get(name);
      if (array === undefined) {
        throw new SnapshotError(`The data of the worst units lacks its array “${name}”.`);
      }
      return array;
    };
  }

  /** The list at these tolerances, or else at some for which there is one, which it names. */
  at(tolerances: Tolerances): WorstList {
    const { at, scale, dead_at, probes } = this.#meta;
    const thresholds = at.map(([rtol, atol]) => ({ rtol, atol, scale }));
    const found = thresholds.findIndex((one) => sameThresholds(one, tolerances));
    if (found >= 0 && dead_at === tolerances.dead_at) {
      return { units: this.#list(found), probes, other: null };
    }
    const place = found >= 0 ? found : this.#nearest(tolerances);
    const other = { ...(thresholds[place] as Threshold), dead_at };
    return { units: this.#list(place), probes, other };
  }

  /** Of the lists over atol the one at the largest that is not above the one on show. */
  #nearest({ atol }: Tolerances): number {
    const rtol = this.#meta.at[0]?.[0];
    const over = this.#meta.at.filter((one) => one[0] === rtol).map((one) => one[1]);
    return stopAtMost(over, atol);
  }

  #list(place: number): WorstUnit[] {
    const { at, listed, layers } = this.#meta;
    const first = (at[place] as Meta["at"][number])[2] * listed;
    const upper = (name: string): string =>
      this.#lists.has(`${name}_upper`) ? `${name}_upper` : name;
    return Array.from({ length: listed }, (_, index) => {
      const listing = (name: string): number => this.#entry(name)[first + index] as number;
      const entry = listing("order");
      const of = (name: string): number => this.#entry(name)[entry] as number;
      return {
        rank: index + 1,
        layer: layers[of("layer")] as WorstLayer,
        unit: of("unit"),
        share: listing("inactive") / of("finite"),
        shareUpper: listing(upper("inactive")) / of("finite"),
        meanAbs: of("mean_abs"),
        rms: of("rms"),
        maxAbs: of("max_abs"),
        units: of("units"),
        deadUnits: listing("dead"),
        deadUnitsUpper: listing(upper("dead")),
      };
    });
  }
}

/** The units of which it consists, as indices in the layer's own C order, ascending. */
export function unitsOf({ layer, unit }: WorstUnit): number[] {
  const { shape, channel_axis } = layer;
  if (channel_axis === null) return [unit];
  const channels = shape[channel_axis] as number;
  const inner = sizeOf(shape.slice(channel_axis + 1));
  const outer = sizeOf(shape.slice(0, channel_axis));
  const most = Math.min(outer * inner, MOST_SELECTED);
  return Array.from({ length: most }, (_, place) => {
    const before = Math.floor(place / inner);
    return (before * channels + unit) * inner + (place % inner);
  });
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((all, size) => all * size, 1);
}

/** Whether these units of this layer are those of which it consists, in their order. */
export function isSelection(unit: WorstUnit, layer: string, selected: readonly number[]): boolean {
  const { shape, channel_axis, name } = unit.layer;
  if (name !== layer || selected.length !== Math.min(unit.units, MOST_SELECTED)) return false;
  const inner = channel_axis === null ? 1 : sizeOf(shape.slice(channel_axis + 1));
  if (selected[0] !== unit.unit * inner) return false;
  return unitsOf(unit).every((one, at) => one === selected[at]);
}

/** "|x| ≤ 1e-8 + 0.025 × layer mean |x|": where they are ranked. */
export function rankedAtWords({ rtol, atol, scale, dead_at }: Ranked): string {
  const relative =
    rtol === 0 || scale === "zero" ? "" : ` + ${formatTolerance(rtol)} × ${SCALES[scale]}`;
  const dead = dead_at === 1 ? "" : `, dead on ≥ ${formatShare(dead_at)}`;
  return `|x| ≤ ${formatTolerance(atol)}${relative}${dead}`;
}

/** "channel 17", "unit 3", or "unit (3, 5)" where a unit has several axes. */
export function worstUnitName({ layer, unit }: WorstUnit): string {
  const { shape, channel_axis, what } = layer;
  if (channel_axis !== null || shape.length < 2) return `${what} ${unit}`;
  const place: number[] = [];
  let rest = unit;
  for (const size of [...shape].reverse()) {
    place.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return `${what} (${place.join(", ")})`;
}
