/** Sorts many units by a number each. */

import type { NumericArray } from "../reading/snapshot";

const DIGIT = 2 ** 16;

/** Keys that sort as unsigned integers: counts as they are, magnitudes by the bits of a float. */
function sortableKeys(values: NumericArray): Uint8Array | Uint16Array | Uint32Array {
  if (
    values instanceof Uint8Array ||
    values instanceof Uint16Array ||
    values instanceof Uint32Array
  ) {
    return values;
  }
  const floats = values instanceof Float32Array ? values : Float32Array.from(values);
  return new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
}

function sortByDigit(
  order: Uint32Array,
  keys: Uint8Array | Uint16Array | Uint32Array,
  shift: number,
  descending: boolean,
): Uint32Array {
  const starts = new Uint32Array(DIGIT + 1);
  const flip = descending ? DIGIT - 1 : 0;
  for (let at = 0; at < order.length; at++) {
    const digit = (((keys[at] as number) >>> shift) & (DIGIT - 1)) ^ flip;
    (starts[digit + 1] as number)++;
  }
  for (let digit = 0; digit < DIGIT; digit++) {
    (starts[digit + 1] as number) += starts[digit] as number;
  }
  const sorted = new Uint32Array(order.length);
  for (let at = 0; at < order.length; at++) {
    const unit = order[at] as number;
    const digit = (((keys[unit] as number) >>> shift) & (DIGIT - 1)) ^ flip;
    const place = starts[digit] as number;
    starts[digit] = place + 1;
    sorted[place] = unit;
  }
  return sorted;
}

/**
 * Units by their number, which is not negative; ties keep the order of their index. A number that
 * is not known (NaN) comes after all, whichever the direction.
 */
export function orderUnits(values: NumericArray, descending: boolean): Uint32Array {
  const keys = sortableKeys(values);
  let order: Uint32Array = new Uint32Array(values.length);
  for (let unit = 0; unit < order.length; unit++) order[unit] = unit;
  order = sortByDigit(order, keys, 0, descending);
  if (keys instanceof Uint32Array) order = sortByDigit(order, keys, 16, descending);
  if (!(descending && values instanceof Float32Array)) return order;
  let unknown = 0;
  while (unknown < order.length && Number.isNaN(values[order[unknown] as number])) unknown++;
  if (unknown === 0) return order;
  const known = order.subarray(unknown);
  const sorted = new Uint32Array(order.length);
  sorted.set(known);
  sorted.set(order.subarray(0, unknown), known.length);
  return sorted;
}

/** The place of every unit in an order. */
export function ranksOf(order: Uint32Array): Uint32Array {
  const ranks = new Uint32Array(order.length);
  for (let place = 0; place < order.length; place++) ranks[order[place] as number] = place;
  return ranks;
}
