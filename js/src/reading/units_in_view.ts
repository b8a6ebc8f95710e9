/** Names and titles of units of the layer in view, for tooltip, card and lists. */

import type { DeadRule } from "./dead_rule";
import { formatInteger, formatMagnitude, formatShare, NOTHING } from "./format";
import type { LayerReading } from "./layer_reading";
import { describeUnit, ownIndex, shortName } from "./layout";
import type { UnitsReading } from "./per_unit_reader";
import type { Evidence, UnitsSnapshot } from "./snapshot";
import type { Tolerances } from "./threshold";
import { FATE_WORDS, type UnitChanges } from "./unit_changes";

/** The units of the layer in view, at the tolerances in force. */
export interface UnitsInView {
  readonly units: UnitsSnapshot;
  readonly reading: UnitsReading;
  readonly layer: LayerReading;
  readonly tolerances: Tolerances;
  readonly rtolStops: readonly number[];
  readonly dead: DeadRule;
  /** Counts of finite responses; null where that was not sent. */
  readonly finite: UnitsReading["lower"] | null;
  /** Since the result that is compared; null where the layer is compared with none. */
  readonly changes: UnitChanges | null;
}

interface UnitTitle {
  readonly title: string;
  /** Its index in the layer's own order, where the title does not say it. */
  readonly index: string;
  readonly alarm: string | null;
}

export function probeWord({ layer }: UnitsInView): string {
  return layer.meta.unit === "token" ? "token" : "probe";
}

export function unitName({ units, layer }: UnitsInView, unit: number): string {
  return layer.meta.unit === "element" ? describeUnit(units.shape, unit) : `channel ${unit}`;
}

export function unitShortName({ units }: UnitsInView, unit: number): string {
  return shortName(units.shape, unit);
}

/** "37 of 100 responses were NaN or infinite", or null where none was. */
function notFiniteWords(data: UnitsInView, unit: number): string | null {
  const { probes } = data.units;
  const missing = probes - (data.finite?.[unit] ?? probes);
  if (missing === 0) return null;
  return `NaN or infinite on ${formatInteger(missing)} of ${formatInteger(probes)} ${probeWord(data)}s`;
}

/**
 * How rarely a unit that was never active is, with 95 % confidence: "; active on < 5.8 % of such
 * data", or nothing of others. The formula is that of `active_rate_below` in Python.
 */
export function rarelyWords({ units, finite, reading }: UnitsInView, unit: number): string {
  const probes = finite?.[unit] ?? units.probes;
  if (probes === 0 || (reading.lower[unit] as number) < probes) return "";
  const rate = -Math.expm1(Math.log(0.05) / probes);
  return `; active on < ${Number((100 * rate).toPrecision(2))} % of such data`;
}

/** What may tell why a unit is dead, by name: of what was counted for its layer. */
export function evidenceWords(
  { units, reading, dead, tolerances }: UnitsInView,
  unit: number,
): ReadonlyMap<Evidence | "finding", string> {
  const words = new Map<Evidence | "finding", string>();
  for (const [name, values] of units.evidence) {
    const format = name === "share at bound" ? formatShare : formatMagnitude;
    const value = values[unit] as number;
    const constant = name === "range" && value <= tolerances.atol ? " (constant)" : "";
    words.set(name, format(value) + constant);
  }
  const { findings } = units;
  if (findings !== null) {
    const isDead = (reading.lower[unit] as number) >= dead.fromOf(unit);
    const found = isDead ? findings.words[findings.codes[unit] as number] : undefined;
    words.set("finding", found ?? NOTHING);
  }
  return words;
}

/** "newly dead", say; null where the layer is compared with nothing. */
export function fateWords({ changes }: UnitsInView, unit: number): string | null {
  return changes === null ? null : (FATE_WORDS[changes.fate(unit)] as string);
}

export function deadRule(deadAt: number, probe: string): string {
  if (deadAt >= 1) return `inactive on every ${probe}`;
  return `inactive on at least ${Number((100 * deadAt).toPrecision(4))} % of ${probe}s`;
}

export function unitTitle(data: UnitsInView, unit: number): UnitTitle {
  const { units, reading, tolerances } = data;
  const deadFrom = data.dead.fromOf(unit);
  const notFinite = notFiniteWords(data, unit);
  const probe = notFinite === null ? probeWord(data) : `finite ${probeWord(data)}`;
  const alarms: string[] = [];
  if ((reading.lower[unit] as number) >= deadFrom) {
    alarms.push(`dead: ${deadRule(tolerances.dead_at, probe)}`);
  } else if ((reading.upper[unit] as number) >= deadFrom) {
    alarms.push("may be dead: recount for the exact number");
  }
  if (notFinite !== null) alarms.push(notFinite);
  const flat = ownIndex(units.shape, units.channel_axis, unit);
  return {
    title: unitName(data, unit),
    index: units.shape.length > 1 ? `flat index ${formatInteger(flat)}` : "",
    alarm: alarms.length > 0 ? alarms.join("; ") : null,
  };
}

/** The first of the units that are inactive most often. */
export function mostInactive({ reading }: UnitsInView): number {
  const { lower } = reading;
  let most = 0;
  for (let unit = 1; unit < lower.length; unit++) {
    if ((lower[unit] as number) > (lower[most] as number)) most = unit;
  }
  return most;
}
