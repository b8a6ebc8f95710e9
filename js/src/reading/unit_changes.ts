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
  "changed or not: recount for certainty",
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

export interface ChangeSurvey {
  /** Of each unit. */
  readonly fates: Uint8Array;
  /** How many units have a fate for certain, and how many may; by fate. */
  readonly lower: readonly number[];
  readonly upper: readonly number[];
}

/** What is known of units: of one, or of all at once. */
interface Codes {
  of(unit: number): number;
  fill(out: Uint8Array): void;
}

/** Looked up one by one, where that is seldom asked for. */
function oneByOne(of: (unit: number) => number): Codes {
  return {
    of,
    fill: (out) => {
      for (let unit = 0; unit < out.length; unit++) out[unit] = of(unit);
    },
  };
}

/** Of two columns for each unit, in a table for each. */
function lookedUp(
  [there, was]: readonly [NumericArray, Uint8Array],
  [here, is]: readonly [NumericArray, Uint8Array],
): Codes {
  const of = (unit: number): number =>
    (was[there[unit] as number] as number) | (is[here[unit] as number] as number);
  const fill = (out: Uint8Array): void => {
    for (let unit = 0; unit < out.length; unit++) {
      out[unit] = (was[there[unit] as number] as number) | (is[here[unit] as number] as number);
    }
  };
  return { of, fill };
}

export class UnitChanges {
  readonly #units: number;
  readonly #codes: Codes;
  #survey: ChangeSurvey | null = null;

  constructor(units: number, codes: Codes) {
    this.#units = units;
    this.#codes = codes;
  }

  fate(unit: number): number {
    return FATES[this.#codes.of(unit)] as number;
  }

  /** Of all units, made when it is first asked for. */
  get survey(): ChangeSurvey {
    this.#survey ??= this.#surveyed();
    return this.#survey;
  }

  #surveyed(): ChangeSurvey {
    const fates = new Uint8Array(this.#units);
    const found = new Uint32Array(CODES);
    this.#codes.fill(fates);
    for (let unit = 0; unit < fates.length; unit++) {
      const code = fates[unit] as number;
      (found[code] as number)++;
      fates[unit] = FATES[code] as number;
    }
    const lower = FATE_WORDS.map(() => 0);
    const upper = FATE_WORDS.map(() => 0);
    for (let code = 0; code < CODES; code++) {
      const units = found[code] as number;
      if (units === 0) continue;
      const fate = FATES[code] as number;
      (lower[fate] as number) += units;
      for (const possible of possibleFates(code)) (upper[possible] as number) += units;
    }
    return { fates, lower, upper };
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
const CODE_OF_FATE = [
  0,
  SURELY | PERHAPS,
  (SURELY | PERHAPS) << BEFORE,
  ((SURELY | PERHAPS) << BEFORE) | SURELY | PERHAPS,
  (PERHAPS << BEFORE) | PERHAPS,
  UNKNOWN,
] as const;

/** Reads changes of one layer, and gives the same ones as long as nothing of them has changed. */
export class ChangeReader {
  readonly #units: UnitsSnapshot;
  #last: { readonly key: string; readonly changes: UnitChanges } | null = null;

  constructor(units: UnitsSnapshot) {
    this.#units = units;
  }

  /** Null where the layer is not compared. */
  read(meta: LayerMeta, rtolStops: readonly number[], at: Tolerances): UnitChanges | null {
    const { comparison } = this.#units;
    if (comparison === null) return null;
    const [key, make] = this.#found(comparison, meta, rtolStops, at);
    if (this.#last?.key !== key) {
      this.#last = { key, changes: new UnitChanges(this.#units.units, make()) };
    }
    return this.#last.changes;
  }

  #found(
    comparison: UnitsComparison,
    { mean_abs }: LayerMeta,
    rtolStops: readonly number[],
    at: Tolerances,
  ): readonly [string, () => Codes] {
    const { units: size, stops } = this.#units;
    const { beforeDeadFrom: there, deadFrom: here, exactAt, exactChanges } = comparison;
    const exact = exactAt.findIndex((threshold) => sameThresholds(threshold, at));
    const ofThisShare = at.dead_at === comparison.deadAt;
    if (ofThisShare && exact >= 0 && exactChanges !== null) {
      const fates = exactChanges.subarray(exact * size, (exact + 1) * size);
      return [`exact ${exact}`, () => oneByOne((unit) => CODE_OF_FATE[fates[unit] as 0] as number)];
    }
    const columns = [comparison.stops.length + 1, stops.length + 1] as const;
    if (ofThisShare && !isPerUnit(at)) {
      const before = deadUpTo(
        locateLayer(comparison.stops, at, comparison.mean_abs),
        comparison.counted,
      );
      const after = deadUpTo(locateLayer(stops, at, mean_abs), comparison.counted_after);
      const key = [before.lower, before.upper, after.lower, after.upper].join();
      return [
        key,
        () => {
          const was = codes(columns[0], before).map((code) => code << BEFORE);
          return lookedUp([there, was], [here, codes(columns[1], after)]);
        },
      ];
    }
    const isUnknown = (unit: number): boolean =>
      there[unit] === columns[0] || here[unit] === columns[1];
    const stop = rtolStops.indexOf(at.rtol);
    const first = comparison.scaleDeadFrom;
    const forScale = comparison.scale === at.scale && comparison.atol === at.atol;
    if (ofThisShare && forScale && first !== null && stop >= 0) {
      return [`rtol ${stop}`, () => codeAtRtol(first, size, stop, isUnknown)];
    }
    const unsure = CODE_OF_FATE[UNSURE];
    return ["unsure", () => oneByOne((unit) => (isUnknown(unit) ? UNKNOWN : unsure))];
  }
}

function codeAtRtol(
  first: NumericArray,
  size: number,
  stop: number,
  isUnknown: (unit: number) => boolean,
): Codes {
  const dead = (row: number, unit: number): boolean => (first[row * size + unit] as number) <= stop;
  const bits = (row: number, unit: number): number =>
    (dead(row, unit) ? SURELY : 0) | (dead(row + 1, unit) ? PERHAPS : 0);
  return oneByOne((unit) =>
    isUnknown(unit) ? UNKNOWN : (bits(0, unit) << BEFORE) | bits(2, unit),
  );
}
