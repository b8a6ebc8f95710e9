/** What may become of a unit between two results, and where it is dead in one of them. */

import type { Place } from "./threshold";

/** In the order in which Python packs their figures. */
export const CHANGES = ["newlyDead", "revived", "deadInBoth"] as const;
export type Change = (typeof CHANGES)[number];

/** Up to which column a unit is surely dead, and up to which it may be. */
export function deadUpTo(place: Place, counted: readonly number[] | null): Place {
  if (counted === null) return place;
  const upper = counted.find((column) => column >= place.upper) ?? place.upper;
  return { ...place, upper };
}
