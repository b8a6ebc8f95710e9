/** The life of single units: at each look the size of their responses, and whether they are dead. */

import { decodeAs, type NumericArray, take } from "./snapshot";
import { locateLayer, type Tolerances } from "./threshold";

/** What is kept of a layer's units over the looks, in the order in which units are drawn. */
export interface Lives {
  readonly layer: string;
  readonly steps: readonly number[];
  readonly stops: readonly number[];
  /** Whose lives are here; null for all units of the layer. */
  readonly units: readonly number[] | null;
  /** From which column on each is dead, look by look; beyond all columns where it never is. */
  readonly dead_from: NumericArray;
  readonly mean_abs: NumericArray;
  /** Of the layer, at each look. */
  readonly layer_mean: NumericArray;
}

export interface Life {
  readonly steps: readonly number[];
  /** Mean |x| at each look. */
  readonly sizes: readonly number[];
  readonly dead: readonly boolean[];
}

export function decodeLives(data: DataView): Lives {
  const snapshot = decodeAs("life", data);
  const meta = snapshot.meta as unknown as Pick<Lives, "layer" | "steps" | "stops" | "units"> & {
    readonly length: number;
  };
  const looks = meta.steps.length;
  const { layer, steps, stops, units } = meta;
  return {
    layer,
    steps,
    stops,
    units,
    dead_from: take(snapshot, "dead_from", looks * meta.length),
    mean_abs: take(snapshot, "mean_abs", looks * meta.length),
    layer_mean: take(snapshot, "layer_mean", looks),
  };
}

/** The life of one unit at the tolerances on show; null where it is not here. */
export function lifeOf(lives: Lives, unit: number, tolerances: Tolerances): Life | null {
  const { steps, stops, units, dead_from, mean_abs, layer_mean } = lives;
  const all = steps.length > 0 ? dead_from.length / steps.length : 0;
  const at = units === null ? unit : units.indexOf(unit);
  if (at < 0 || at >= all) return null;
  const of = (look: number): number => look * all + at;
  return {
    steps,
    sizes: steps.map((_, look) => mean_abs[of(look)] as number),
    dead: steps.map((_, look) => {
      const { lower } = locateLayer(stops, tolerances, layer_mean[look] as number);
      return (dead_from[of(look)] as number) <= lower;
    }),
  };
}

/** "dead since step 800", in the fewest words that are true. */
export function lifeWords({ steps, dead }: Life, format: (step: number) => string): string {
  const times = dead.filter((each) => each).length;
  if (times === 0) return `alive at all ${format(dead.length)} looks`;
  const since = dead.lastIndexOf(false) + 1;
  if (since < dead.length && times === dead.length - since) {
    return since === 0 ? "dead at all looks" : `dead since step ${format(steps[since] as number)}`;
  }
  const [now = false] = dead.slice(-1);
  return `dead at ${format(times)} of ${format(dead.length)} looks${now ? ", now" : ", alive now"}`;
}
