/** Compares two looks by what is dead in each, where no kernel does it: as Python compares results. */

import {
  decodeAs,
  type NumericArray,
  type TableComparison,
  take,
  type UnitsComparison,
} from "./snapshot";

interface DeadInLayer {
  readonly name: string;
  readonly units: number;
  readonly probes: number;
  readonly mean_abs: number;
  readonly counted: readonly number[] | null;
  /** Where its units begin. */
  readonly from: number;
}

/** From which column on the units of all layers are dead at a look. */
export interface DeadInLook {
  readonly stops: readonly number[];
  readonly dead_at: number;
  readonly layers: readonly DeadInLayer[];
  /** One layer after the other, in the order in which units are drawn. */
  readonly deadFrom: NumericArray;
}

export function decodeDead(data: DataView): DeadInLook {
  const snapshot = decodeAs("dead", data);
  const meta = snapshot.meta as unknown as Omit<DeadInLook, "deadFrom">;
  let from = 0;
  const layers = meta.layers.map((layer) => {
    const here = { ...layer, from };
    from += layer.units;
    return here;
  });
  return { ...meta, layers, deadFrom: take(snapshot, "dead_from", from) };
}

function unitsOf({ deadFrom }: DeadInLook, { from, units }: DeadInLayer): NumericArray {
  return deadFrom.subarray(from, from + units);
}

/** The layer before and after; null where nothing is compared. */
function both(
  before: DeadInLook,
  after: DeadInLook,
  name: string,
): readonly [DeadInLayer, DeadInLayer] | null {
  const there = before.layers.find((layer) => layer.name === name);
  const here = after.layers.find((layer) => layer.name === name);
  if (there === undefined || here === undefined || there.units !== here.units) return null;
  return there.probes > 0 && here.probes > 0 ? [there, here] : null;
}

/** How many units of each layer are dead from one column on before, and from one after. */
export function compareTables(before: DeadInLook, after: DeadInLook): TableComparison {
  const [earlier, columns] = [before.stops.length + 1, after.stops.length + 1];
  const counts = new Uint32Array(earlier * columns);
  const pairs: [before: number, after: number, units: number][] = [];
  const ends: number[] = [];
  const layers = after.layers.map(({ name }) => {
    const found = both(before, after, name);
    if (found !== null) {
      const [there, here] = [unitsOf(before, found[0]), unitsOf(after, found[1])];
      for (let unit = 0; unit < here.length; unit++) {
        const [then, now] = [there[unit] as number, here[unit] as number];
        if (then < earlier && now < columns) (counts[then * columns + now] as number)++;
      }
      counts.forEach((units, pair) => {
        if (units > 0) pairs.push([Math.floor(pair / columns), pair % columns, units]);
      });
      counts.fill(0);
    }
    ends.push(pairs.length);
    return found === null
      ? null
      : {
          mean_abs: found[0].mean_abs,
          counted: found[0].counted,
          counted_after: found[1].counted,
        };
  });
  return {
    stops: before.stops,
    layers,
    pairBefore: Uint16Array.from(pairs, ([there]) => there),
    pairAfter: Uint16Array.from(pairs, ([, here]) => here),
    pairUnits: Uint32Array.from(pairs, ([, , units]) => units),
    pairEnd: Uint32Array.from(ends),
    scaleChanges: new Uint32Array(0),
    exactAt: [],
    exactChanges: new Uint32Array(0),
  };
}

/** What became of the units of one layer; null where it is not compared. */
export function compareUnits(
  before: DeadInLook,
  after: DeadInLook,
  name: string,
): UnitsComparison | null {
  const found = both(before, after, name);
  if (found === null) return null;
  const [there, here] = found;
  return {
    mean_abs: there.mean_abs,
    counted: there.counted,
    counted_after: here.counted,
    stops: before.stops,
    deadAt: after.dead_at,
    exactAt: [],
    scale: null,
    atol: 0,
    beforeDeadFrom: unitsOf(before, there),
    deadFrom: unitsOf(after, here),
    scaleDeadFrom: null,
    exactChanges: null,
  };
}
