/** The text of the tooltip for a unit or a channel. */

import { formatCounts, formatInteger, formatShares, plural } from "../reading/format";
import { probeWord, type UnitsInView, unitTitle } from "../reading/units_in_view";
import type { TipText } from "../ui/tooltip";

/** What lies under one pixel. */
export interface SharedPixel {
  readonly units: number;
  readonly dead: number;
}

/** `shared` is the pixel that the unit is pointed at in. */
export function unitTip(data: UnitsInView, unit: number, shared: SharedPixel | null): TipText {
  const { probes } = data.units;
  const lower = data.reading.lower[unit] as number;
  const upper = data.reading.upper[unit] as number;
  const { title, index, alarm } = unitTitle(data, unit);
  const lines = index === "" ? [] : [index];
  lines.push(
    `${formatCounts(lower, upper)} of ${plural(probes, probeWord(data))} inactive`,
    formatShares(lower / probes, upper / probes),
  );
  if (shared !== null && shared.units > 1) {
    const dead = formatInteger(shared.dead);
    lines.push(`in this pixel: ${plural(shared.units, "unit")}, ${dead} dead`);
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
  return {
    title: `channel ${channel}`,
    lines: [plural(area, "unit"), `on average ${share} inactive`],
    alarm: dead.upper > 0 ? `${formatCounts(dead.lower, dead.upper)} of them dead` : null,
  };
}
