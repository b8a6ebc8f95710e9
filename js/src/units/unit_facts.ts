/** Facts about the units of a snapshot: kept from step to step, and encoded as levels. */

import {
  aliveRange,
  type Coloring,
  countLevels,
  DEAD,
  DEAD_IN_BOTH,
  encodeByTable,
  encodeCounts,
  encodeShades,
  isEvidence,
  levelOfShade,
  magnitudeRange,
  magnitudeShades,
  NOT_FINITE,
  notFiniteUnits,
  type Pooling,
  type Range,
  REVIVED,
  type Survey,
  surveyCounts,
  UNSURE,
  valueRange,
  valueShades,
} from "../canvas/levels";
import { DeadRule } from "../reading/dead_rule";
import type { UnitsReading } from "../reading/per_unit_reader";
import type { NumericArray, UnitsSnapshot } from "../reading/snapshot";
import { ChangeReader, type UnitChanges } from "../reading/unit_changes";

/** By fate; null for a shade. */
export const LEVEL_OF_FATE = [null, DEAD, REVIVED, DEAD_IN_BOTH, UNSURE, NOT_FINITE] as const;

/** What of each unit is shaded by its value, and the ends of the ramp. */
interface Shaded {
  readonly range: Range | null;
  readonly shades: Uint8Array;
}

export interface ReadingSurvey extends Survey {
  readonly deadUpper: number;
}

/** What does not depend on tolerances: made once for each snapshot. */
export class UnitFacts {
  readonly units: UnitsSnapshot;
  /** Finite responses of each unit; null where that was not sent. */
  readonly finite: NumericArray | null;
  readonly notFinite: readonly number[];
  readonly changes: ChangeReader;
  readonly #levels: Uint8Array;
  /** By where a column begins: a drag comes back to columns, and to the upper one as the lower. */
  readonly #surveys = new Map<number, Survey>();
  #surveyedFor = 0;
  readonly #shades = new Map<Coloring, Shaded>();

  constructor(units: UnitsSnapshot) {
    this.units = units;
    const { columns, stops, counts, probes } = units;
    const last = columns.length - 1;
    const whole = columns[last] === stops.length;
    this.finite = whole ? counts.subarray(last * units.units, (last + 1) * units.units) : null;
    this.notFinite =
      units.dead_from === null
        ? notFiniteUnits(this.finite, probes)
        : neverFinite(units.dead_from, stops.length);
    this.changes = new ChangeReader(units);
    this.#levels = new Uint8Array(units.units);
  }

  rule(deadAt: number): DeadRule {
    return new DeadRule(deadAt, this.units.probes, this.finite);
  }

  survey(reading: UnitsReading, rule: DeadRule): ReadingSurvey {
    if (this.#surveyedFor !== rule.share) this.#surveys.clear();
    this.#surveyedFor = rule.share;
    const survey = this.#surveyed(reading.lower, rule);
    const { dead } = reading.exact ? survey : this.#surveyed(reading.upper, rule);
    return { ...survey, deadUpper: dead };
  }

  #surveyed(counts: NumericArray, rule: DeadRule): Survey {
    // What was read unit by unit is written over at the next step.
    if (counts.buffer !== this.units.counts.buffer) return this.#pass(counts, rule);
    let survey = this.#surveys.get(counts.byteOffset);
    if (survey === undefined) {
      survey = this.#pass(counts, rule);
      this.#surveys.set(counts.byteOffset, survey);
    }
    return survey;
  }

  #pass(counts: NumericArray, rule: DeadRule): Survey {
    const { dead, inactive } = surveyCounts(counts, rule.from);
    return { dead: dead + rule.missed(counts, this.notFinite), inactive };
  }

  /** The coloring asked for, or another where there is nothing to color by. */
  possible(coloring: Coloring): Coloring {
    const absent = { "mean |x|": this.units.mean_abs, change: this.units.comparison };
    const isAbsent = isEvidence(coloring)
      ? !this.units.evidence.has(coloring)
      : coloring in absent && absent[coloring as keyof typeof absent] === null;
    const possible = isAbsent ? "share" : coloring;
    const counted = possible === "share" || possible === "count";
    return this.units.dead_from !== null && counted ? "dead" : possible;
  }

  /** Of units whose changes are colored, in the same array every time. */
  changeLevels({ cells, fates }: UnitChanges, pooling: Pooling): Uint8Array {
    const levels = fates.map((fate) => LEVEL_OF_FATE[fate] ?? levelOfShade(1, pooling));
    encodeByTable(cells, levels, this.#levels);
    return this.#levels;
  }

  /** Null for what is no value of a unit. */
  #shaded(coloring: Coloring): Shaded | null {
    const { mean_abs, evidence, units } = this.units;
    const kept = this.#shades.get(coloring);
    if (kept !== undefined) return kept;
    let shaded: Shaded;
    if (coloring === "mean |x|") {
      const values = mean_abs ?? new Float32Array(units);
      const range = magnitudeRange(values);
      shaded = { range, shades: magnitudeShades(values, range) };
    } else if (isEvidence(coloring)) {
      const values = evidence.get(coloring) ?? new Float32Array(units);
      const range = coloring === "share at bound" ? { from: 0, to: 1 } : valueRange(values);
      shaded = { range, shades: valueShades(values, range) };
    } else return null;
    this.#shades.set(coloring, shaded);
    return shaded;
  }

  /** Ends of the ramp, where they are numbers of this layer. */
  range(coloring: Coloring, reading: UnitsReading, deadFrom: number): Range | null {
    const shaded = this.#shaded(coloring);
    if (shaded !== null) return shaded.range;
    return coloring === "count" ? aliveRange(reading.lower, deadFrom) : null;
  }

  /** Levels of all units, in the same array every time. */
  levels(
    reading: UnitsReading,
    coloring: Coloring,
    dead: DeadRule,
    range: Range | null,
    pooling: Pooling,
  ): Uint8Array {
    const { lower } = reading;
    const out = this.#levels;
    const shaded = this.#shaded(coloring);
    const marksDead = marksTheDead(coloring);
    if (shaded !== null) {
      encodeShades(shaded.shades, lower, marksDead ? dead.from : Infinity, pooling, out);
    } else {
      const { probes } = this.units;
      const ends = range ?? { from: 0, to: probes };
      const by = coloring === "share" || coloring === "count" ? coloring : "dead";
      const levelOf = countLevels(by, probes, dead.from, ends, pooling);
      encodeCounts(lower, probes, levelOf, out);
    }
    for (const unit of this.notFinite) {
      const isDead = marksDead && (lower[unit] as number) >= dead.fromOf(unit);
      out[unit] = isDead ? DEAD : NOT_FINITE;
    }
    return out;
  }
}

/** Not where how far the dead are from firing is what is shown. */
export function marksTheDead(coloring: Coloring): boolean {
  return coloring !== "max pre-activation";
}

/** Units that are dead beyond all columns. */
function neverFinite(deadFrom: NumericArray, last: number): number[] {
  return Array.from(deadFrom.keys()).filter((unit) => (deadFrom[unit] as number) > last);
}

/** Whether two readings are the same numbers, as far as can be told without comparing them. */
export function sameCounts(a: UnitsReading | null, b: UnitsReading): boolean {
  const same = (x: NumericArray, y: NumericArray): boolean =>
    x.buffer === y.buffer && x.byteOffset === y.byteOffset;
  return a !== null && same(a.lower, b.lower) && (a.exact ? b.exact : same(a.upper, b.upper));
}
