/** The units of a layer that are chosen: those selected, and the one whose card is pinned. */

import { MOST_SELECTED, toggled, united } from "../reading/unit_selection";

export class UnitChoice {
  #selected: readonly number[] = [];
  #set: ReadonlySet<number> = new Set();
  #pinned: number | null = null;
  #anchor: number | null = null;

  get selected(): readonly number[] {
    return this.#selected;
  }

  get pinned(): number | null {
    return this.#pinned;
  }

  /** Where a selection up to another unit begins: the unit chosen last. */
  get anchor(): number | null {
    return this.#anchor;
  }

  has(unit: number): boolean {
    return this.#set.has(unit);
  }

  /** Select these and no others; a single one is pinned. */
  take(units: readonly number[]): void {
    this.#selected = units;
    this.#set = new Set(units);
    if (units.length === 1) this.#pinned = units[0] as number;
    else if (this.#pinned !== null && !this.#set.has(this.#pinned)) this.#pinned = null;
  }

  /** Pin a unit, or unpin it; or add it to the selection, or take it out. */
  pick(unit: number, adds: boolean): void {
    this.#anchor = unit;
    if (adds) {
      this.take(toggled(this.#selected, unit));
      this.#pinned = this.#set.has(unit) ? unit : (this.#selected[0] ?? null);
    } else this.take(this.#pinned === unit ? [] : [unit]);
  }

  /** Show the card of a unit, and leave the selection as it is. */
  pin(unit: number): void {
    this.#anchor = unit;
    this.#pinned = unit;
  }

  /** Select these, too, as far as a selection holds them. */
  add(units: readonly number[]): void {
    this.take(united(this.#selected, units).slice(0, MOST_SELECTED));
  }

  /** Begin anew, with another layer. */
  forget(): void {
    this.take([]);
    this.#pinned = null;
    this.#anchor = null;
  }
}
