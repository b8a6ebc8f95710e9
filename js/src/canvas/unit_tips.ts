/** The text of the tooltip for a unit or a channel. */

import { formatCounts, formatInteger, formatShares, plural } from "../reading/format";
import { NEWLY_DEAD, REVIVED as REVIVED_SINCE } from "../reading/unit_changes";
import {
  evidenceWords,
  fateWords,
  probeWord,
  type UnitsInView,
  unitTitle,
} from "../reading/units_in_view";
import type { TipText } from "../ui/tooltip";
import { type Coloring, DEAD, DEAD_IN_BOTH, REVIVED } from "./levels";

/** What lies under one pixel. */
export interface SharedPixel {
  readonly units: number;
  /** By level, how many units have it, of those that are signals. */
  readonly signals: readonly number[];
}

/** What of a pixel is told; where changes are colored, what changed. */
const TOLD = [[DEAD, "dead"]] as const;
const TOLD_OF_CHANGES = [
  [DEAD, "newly dead"],
  [REVIVED, "revived"],
  [DEAD_IN_BOTH, "dead in both"],
] as const;

/** `shared` is the pixel that the unit is pointed at in. */
export function unitTip(
  data: UnitsInView,
  unit: number,
  shared: SharedPixel | null,
  coloring: Coloring,
): TipText {
  const { probes } = data.units;
  const lower = data.reading.lower[unit] as number;
  const upper = data.reading.upper[unit] as number;
  const { title, index, alarm } = unitTitle(data, unit);
  const lines = index === "" ? [] : [index];
  lines.push(
    `${formatCounts(lower, upper)} of ${plural(probes, probeWord(data))} inactive`,
    formatShares(lower / probes, upper / probes),
  );
  const fate = fateWords(data, unit);
  if (fate !== null) lines.push(fate);
  for (const [name, words] of evidenceWords(data, unit)) lines.push(`${name} ${words}`);
  if (shared !== null && shared.units > 1) {
    const told = coloring === "change" ? TOLD_OF_CHANGES : TOLD;
    const counts = told.map(
      ([level, word]) => `${formatInteger(shared.signals[level] ?? 0)} ${word}`,
    );
    lines.push(`in this pixel: ${[plural(shared.units, "unit"), ...counts].join(", ")}`);
  }
  return { title, lines, alarm };
}

/** Of the whole channel that a unit is in. */
export function channelTip(data: UnitsInView, unit: number): TipText {
  const { shape, probes } = data.units;
  const area = shape.slice(1).reduce((all, size) => all * size, 1);
  const channel = Math.floor(unit / area);
  const { lower, upper } = data.reading;
  const sum = { lower: 0, upper: 0 };
  const dead = { lower: 0, upper: 0 };
  for (let at = channel * area; at < (channel + 1) * area; at++) {
    const from = data.dead.fromOf(at);
    sum.lower += lower[at] as number;
    sum.upper += upper[at] as number;
    if ((lower[at] as number) >= from) dead.lower++;
    if ((upper[at] as number) >= from) dead.upper++;
  }
  const all = area * probes;
  const share = formatShares(sum.lower / all, sum.upper / all);
  const lines = [plural(area, "unit"), `on average ${share} inactive`];
  const { changes } = data;
  if (changes !== null) {
    const fates = Array.from({ length: area }, (_, at) => changes.fate(channel * area + at));
    const count = (fate: number): string =>
      formatInteger(fates.filter((each) => each === fate).length);
    lines.push(`${count(NEWLY_DEAD)} newly dead, ${count(REVIVED_SINCE)} revived`);
  }
  return {
    title: `channel ${channel}`,
    lines,
    alarm: dead.upper > 0 ? `${formatCounts(dead.lower, dead.upper)} of them dead` : null,
  };
}
