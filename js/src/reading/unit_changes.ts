/** What became of each unit of a layer since the result that is compared, at tolerances. */

import { deadUpTo } from "./comparison";
import type { LayerMeta, NumericArray, UnitsComparison, UnitsSnapshot } from "./snapshot";
import { isPerUnit, locateLayer, type Place, sameThresholds, type Tolerances } from "./threshold";

/** What may have become of a unit, as Python numbers it. */
export const ALIVE = 0;
export const NEWLY_DEAD = 1;
export const REVIVED = 2;
export const DEAD_IN_BOTH = 3;
export const UNSURE = 4;
export const NOT_COMPARED = 5;

/** By fate. */
export const FATE_WORDS = [
  "alive in both",
  "newly dead",
  "revived",
  "dead in both",
  "may have changed",
  "not compared",
] as const;

/** What is known of a unit in one result, bit by bit; before is three bits further up. */
const PERHAPS = 1;
const SURELY = 2;
const UNKNOWN = 4;
const BEFORE = 3;
const CODES = 2 ** (2 * BEFORE);

function fateOf(code: number): number {
  const [before, after] = [code >> BEFORE, code & (2 ** BEFORE - 1)];
  if (((before | after) & UNKNOWN) !== 0) return NOT_COMPARED;
  if (before === 0 && after === 0) return ALIVE;
  const [was, is] = [(before & SURELY) !== 0, (after & SURELY) !== 0];
  if (was && is) return DEAD_IN_BOTH;
  if (was && after === 0) return REVIVED;
  return is && before === 0 ? NEWLY_DEAD : UNSURE;
}

const FATES = Uint8Array.from({ length: CODES }, (_, code) => fateOf(code));

/** Of each column what is known of a unit that is dead from there on. */
function codes(columns: number, { lower, upper }: Place): Uint8Array {
  return Uint8Array.from({ length: columns + 1 }, (_, column) => {
    if (column === columns) return UNKNOWN;
    return column <= lower ? SURELY | PERHAPS : column <= upper ? PERHAPS : 0;
  });
}

/** How many units have a fate for certain, and how many may; by fate. */
export interface ChangeSurvey {
  readonly lower: readonly number[];
  readonly upper: readonly number[];
}

/** Units in cells: whatever is in one has the same code. */
interface Cells {
  /** Of each unit. */
  readonly cells: NumericArray;
  /** How many units are in each cell. */
  readonly sizes: Uint32Array;
}

function inCells(cells: NumericArray, number: number): Cells {
  const sizes = new Uint32Array(number);
  for (let unit = 0; unit < cells.length; unit++) (sizes[cells[unit] as number] as number)++;
  return { cells, sizes };
}

export class UnitChanges {
  /** The cell of each unit; and by cell, what became of the units in it. */
  readonly cells: NumericArray;
  readonly fates: Uint8Array;
  readonly survey: ChangeSurvey;

  constructor({ cells, sizes }: Cells, codes: Uint8Array) {
    this.cells = cells;
    this.fates = codes.map((code) => FATES[code] as number);
    const lower = FATE_WORDS.map(() => 0);
    const upper = FATE_WORDS.map(() => 0);
    for (const [cell, units] of sizes.entries()) {
      if (units === 0) continue;
      (lower[this.fates[cell] as number] as number) += units;
      for (const fate of possibleFates(codes[cell] as number)) (upper[fate] as number) += units;
    }
    this.survey = { lower, upper };
  }

  fate(unit: number): number {
    return this.fates[this.cells[unit] as number] as number;
  }
}

/** All that may have become of a unit. */
function possibleFates(code: number): number[] {
  const fate = FATES[code] as number;
  if (fate !== UNSURE) return [fate];
  const either = (bits: number): readonly boolean[] =>
    (bits & SURELY) !== 0 ? [true] : (bits & PERHAPS) !== 0 ? [true, false] : [false];
  const after = either(code & (2 ** BEFORE - 1));
  return [
    UNSURE,
    ...either(code >> BEFORE).flatMap((was) =>
      after.map((is) => (was ? (is ? DEAD_IN_BOTH : REVIVED) : is ? NEWLY_DEAD : ALIVE)),
    ),
  ];
}

/** Codes of fates that are known as such. */
const CODES_OF_FATES = Uint8Array.of(
  0,
  SURELY | PERHAPS,
  (SURELY | PERHAPS) << BEFORE,
  ((SURELY | PERHAPS) << BEFORE) | SURELY | PERHAPS,
  (PERHAPS << BEFORE) | PERHAPS,
  UNKNOWN,
);
const ALL_CODES = Uint8Array.from({ length: CODES }, (_, code) => code);

/** Reads changes of one layer, and gives the same ones as long as nothing of them has changed. */
export class ChangeReader {
  readonly #units: UnitsSnapshot;
  #pairs: Cells | null = null;
  #last: { readonly key: string; readonly changes: UnitChanges } | null = null;

  constructor(units: UnitsSnapshot) {
    this.#units = units;
  }

  /** Null where the layer is not compared. */
  read(meta: LayerMeta, rtolStops: readonly number[], at: Tolerances): UnitChanges | null {
    const { comparison } = this.#units;
    if (comparison === null) return null;
    const [key, make] = this.#found(comparison, meta, rtolStops, at);
    if (this.#last?.key !== key) this.#last = { key, changes: make() };
    return this.#last.changes;
  }

  /** What is known of them at these tolerances, by what, and how the changes are made. */
  #found(
    comparison: UnitsComparison,
    { mean_abs }: LayerMeta,
    rtolStops: readonly number[],
    at: Tolerances,
  ): readonly [string, () => UnitChanges] {
    const { units: size, stops } = this.#units;
    const { deadAt, exactAt, exactChanges, scaleDeadFrom } = comparison;
    const ofThisShare = at.dead_at === deadAt;
    const exact = exactAt.findIndex((threshold) => sameThresholds(threshold, at));
    if (ofThisShare && exact >= 0 && exactChanges !== null) {
      const fates = exactChanges.subarray(exact * size, (exact + 1) * size);
      const cells = (): Cells => inCells(fates, FATE_WORDS.length);
      return [`exact ${exact}`, () => new UnitChanges(cells(), CODES_OF_FATES)];
    }
    if (ofThisShare && !isPerUnit(at)) {
      const before = deadUpTo(
        locateLayer(comparison.stops, at, comparison.mean_abs),
        comparison.counted,
      );
      const after = deadUpTo(locateLayer(stops, at, mean_abs), comparison.counted_after);
      return [
        [before.lower, before.upper, after.lower, after.upper].join(),
        () => new UnitChanges(this.#paired(comparison), this.#codes(comparison, before, after)),
      ];
    }
    const stop = rtolStops.indexOf(at.rtol);
    const forScale = comparison.scale === at.scale && comparison.atol === at.atol;
    const first = ofThisShare && forScale && stop >= 0 ? scaleDeadFrom : null;
    return [
      first === null ? "unsure" : `rtol ${stop}`,
      () => new UnitChanges(this.#oneByOne(comparison, first, stop), ALL_CODES),
    ];
  }

  /** Units by the two columns from which on they are dead. */
  #paired(comparison: UnitsComparison): Cells {
    if (this.#pairs !== null) return this.#pairs;
    const [there, here] = this.#columns(comparison);
    const { beforeDeadFrom, deadFrom } = comparison;
    const number = (there + 1) * (here + 1);
    const cells = new (number > 2 ** 16 ? Uint32Array : Uint16Array)(this.#units.units);
    for (let unit = 0; unit < cells.length; unit++) {
      cells[unit] = (beforeDeadFrom[unit] as number) * (here + 1) + (deadFrom[unit] as number);
    }
    this.#pairs = inCells(cells, number);
    return this.#pairs;
  }

  #columns(comparison: UnitsComparison): readonly [number, number] {
    return [comparison.stops.length + 1, this.#units.stops.length + 1];
  }

  #codes(comparison: UnitsComparison, before: Place, after: Place): Uint8Array {
    const [there, here] = this.#columns(comparison);
    const [was, is] = [codes(there, before), codes(here, after)];
    return Uint8Array.from({ length: was.length * is.length }, (_, cell) => {
      const row = Math.floor(cell / is.length);
      return ((was[row] as number) << BEFORE) | (is[cell % is.length] as number);
    });
  }

  /** Units by their own codes: at a stop of rtol, or where no more is known than that they lived. */
  #oneByOne(comparison: UnitsComparison, first: NumericArray | null, stop: number): Cells {
    const { units: size } = this.#units;
    const [there, here] = this.#columns(comparison);
    const { beforeDeadFrom, deadFrom } = comparison;
    const bits = (row: number, unit: number): number => {
      if (first === null) return PERHAPS;
      const dead = (at: number): boolean => (first[at * size + unit] as number) <= stop;
      return (dead(row) ? SURELY : 0) | (dead(row + 1) ? PERHAPS : 0);
    };
    const cells = Uint8Array.from({ length: size }, (_, unit) => {
      if (beforeDeadFrom[unit] === there || deadFrom[unit] === here) return UNKNOWN;
      return (bits(0, unit) << BEFORE) | bits(2, unit);
    });
    return inCells(cells, CODES);
  }
}
