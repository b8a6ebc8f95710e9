/** What is said of a unit, or of a channel, under the pointer. */

import { formatBracket, formatInteger, formatShare, plural } from "./format";
import { probeWord, type UnitsInView, unitTitle } from "./units_in_view";

export interface TipText {
  readonly title: string;
  readonly lines: readonly string[];
  /** Said in the colour of alarm. */
  readonly alarm: string | null;
}

export function unitTip(data: UnitsInView, unit: number): TipText {
  const { probes } = data.units;
  const lower = data.reading.lower[unit] as number;
  const upper = data.reading.upper[unit] as number;
  const { title, index, alarm } = unitTitle(data, unit);
  const lines = index === "" ? [] : [index];
  lines.push(
    `${formatBracket(lower, upper, formatInteger)} of ${plural(probes, probeWord(data))} inactive`,
    formatBracket(lower / probes, upper / probes, formatShare),
  );
  return { title, lines, alarm };
}

/** Of the whole channel that a unit is in. */
export function channelTip(data: UnitsInView, unit: number): TipText {
  const { shape, probes } = data.units;
  const area = shape.slice(1).reduce((all, size) => all * size, 1);
  const channel = Math.floor(unit / area);
  const counts = data.reading.lower.subarray(channel * area, (channel + 1) * area);
  let dead = 0;
  let sum = 0;
  for (const [place, count] of counts.entries()) {
    sum += count;
    if (count >= data.dead.fromOf(channel * area + place)) dead++;
  }
  return {
    title: `channel ${channel}`,
    lines: [plural(area, "unit"), `on average ${formatShare(sum / (area * probes))} inactive`],
    alarm: dead > 0 ? `${formatInteger(dead)} of them dead` : null,
  };
}
