/** The rule for dead units: on how many of its finite probes a unit must be inactive. */

import type { NumericArray } from "./snapshot";
import { probesNeeded } from "./threshold";

export class DeadRule {
  readonly share: number;
  /** Of units that were finite on all probes. */
  readonly from: number;
  readonly #probes: number;
  readonly #finite: NumericArray | null;
  readonly #byFinite = new Map<number, number>();

  /** `finite` has the probes on which each unit was finite; null where all are taken to be. */
  constructor(share: number, probes: number, finite: NumericArray | null = null) {
    this.share = share;
    this.from = probesNeeded(probes, share);
    this.#probes = probes;
    this.#finite = finite;
  }

  /** The least count of a unit that is dead; one that was never finite is not. */
  fromOf(unit: number): number {
    const finite = this.#finite?.[unit] ?? this.#probes;
    if (finite === this.#probes) return this.from;
    let from = this.#byFinite.get(finite);
    if (from === undefined) {
      from = probesNeeded(finite, this.share);
      this.#byFinite.set(finite, from);
    }
    return from;
  }

  /** What a pass that knows one number for all units lacks: those that were not always finite. */
  missed(counts: NumericArray, units: readonly number[]): number {
    let missed = 0;
    for (const unit of units) {
      const count = counts[unit] as number;
      missed += Number(count >= this.fromOf(unit)) - Number(count >= this.from);
    }
    return missed;
  }
}
