/** Compares lists item by item. */

import type { LayerMeta } from "./snapshot";

export function sameItems<Item>(one: readonly Item[], other: readonly Item[]): boolean {
  return one.length === other.length && one.every((item, at) => item === other[at]);
}

/** Whether layers have these names, in this order. */
export function areNamed(layers: readonly LayerMeta[], names: readonly string[]): boolean {
  return layers.length === names.length && layers.every(({ name }, at) => name === names[at]);
}
