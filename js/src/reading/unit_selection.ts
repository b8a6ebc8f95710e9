/** Units that are selected, and their figures together. */

import type { DeadRule } from "./dead_rule";
import type { NumericArray } from "./snapshot";

/** More would not fit one message to the kernel, nor be read by anyone. */
export const MOST_SELECTED = 100_000;

/** Add a unit to an ascending selection, or take it out. */
export function toggled(selection: readonly number[], unit: number): number[] {
  const without = selection.filter((other) => other !== unit);
  if (without.length < selection.length) return without;
  return [...selection, unit].sort((a, b) => a - b);
}

/** Both selections in one, ascending, each unit once. */
export function united(first: readonly number[], second: readonly number[]): number[] {
  return Array.from(new Set([...first, ...second])).sort((a, b) => a - b);
}

interface SelectionSummary {
  readonly units: number;
  readonly dead: number;
  readonly deadUpper: number;
  /** Mean inactive share of the units selected. */
  readonly share: number;
  readonly shareUpper: number;
}

export function summarizeSelection(
  selection: readonly number[],
  lower: NumericArray,
  upper: NumericArray,
  probes: number,
  rule: DeadRule,
): SelectionSummary {
  let dead = 0;
  let deadUpper = 0;
  let sum = 0;
  let sumUpper = 0;
  for (const unit of selection) {
    const low = lower[unit] as number;
    const high = upper[unit] as number;
    const deadFrom = rule.fromOf(unit);
    if (low >= deadFrom) dead++;
    if (high >= deadFrom) deadUpper++;
    sum += low;
    sumUpper += high;
  }
  const all = selection.length * probes;
  return {
    units: selection.length,
    dead,
    deadUpper,
    share: sum / all,
    shareUpper: sumUpper / all,
  };
}
