/** Bounds on how often units are inactive, where only the column from which on each is dead is kept. */

import { deadUpTo } from "./comparison";
import type { UnitsReading } from "./per_unit_reader";
import type { NumericArray, UnitsSnapshot } from "./snapshot";
import { type Place, probesNeeded } from "./threshold";

/** Which columns were read: a reading at the same ones has the same arrays. */
interface DeadReading extends UnitsReading {
  readonly of?: readonly [surely: number, perhaps: number];
}

/** A dead unit is inactive on as many probes as that takes; one that is not, on fewer. */
export function readDead(
  { probes, dead_at, known, units }: UnitsSnapshot,
  deadFrom: NumericArray,
  place: Place,
  before: DeadReading | undefined,
): DeadReading {
  const { lower: surely, upper: perhaps } = deadUpTo(place, known);
  if (before?.of?.[0] === surely && before.of[1] === perhaps && before.lower.length === units) {
    return before;
  }
  const needed = probesNeeded(probes, dead_at);
  const lower = new Uint32Array(units);
  const most = new Uint32Array(units);
  for (let unit = 0; unit < units; unit++) {
    const from = deadFrom[unit] as number;
    lower[unit] = from <= surely ? needed : 0;
    most[unit] = from <= perhaps ? probes : needed - 1;
  }
  return { lower, upper: most, exact: false, lowerColumn: -1, of: [surely, perhaps] };
}
