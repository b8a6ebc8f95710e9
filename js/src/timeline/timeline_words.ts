/** What the timeline says: of a moment, of a layer at it, and of what is not kept over time. */

import { formatInteger, formatShare, formatShares, plural } from "../reading/format";
import type { History } from "../reading/history";
import type { Measure, Shares } from "../reading/history_reading";
import { isPerUnit, type Tolerances } from "../reading/threshold";
import type { TipText } from "../ui/tooltip";

/** "look 13 of 50". */
export function lookWords({ steps }: History, look: number): string {
  return `look ${formatInteger(look + 1)} of ${formatInteger(steps.length)}`;
}

export function stepWords(step: number): string {
  return `step ${formatInteger(step)}`;
}

/** Share of all units of all layers at a look; NaN where nothing was counted. */
export function shareAt({ layers }: History, { lower }: Shares, look: number): number {
  let sum = 0;
  let units = 0;
  layers.forEach((layer, at) => {
    const share = lower[look * layers.length + at] as number;
    if (Number.isNaN(share)) return;
    sum += share * layer.units;
    units += layer.units;
  });
  return sum / units;
}

/** The alarms of a step, in a sentence; empty where none rang. */
export function alarmWords({ alarms }: History, step: number): string {
  return alarms
    .filter((alarm) => alarm.step === step)
    .map(({ rule, layers }) => {
      const [first = "", ...others] = layers;
      const more = others.length > 0 ? ` and ${plural(others.length, "more layer")}` : "";
      return `alarm ${rule}: ${first}${more}`;
    })
    .join("; ");
}

export function layerTip(
  history: History,
  shares: Shares,
  measure: Measure,
  look: number,
  layer: number,
): TipText {
  const step = history.steps[look] as number;
  const at = look * history.layers.length + layer;
  const [lower, upper] = [shares.lower[at] as number, shares.upper[at] as number];
  const share = Number.isNaN(lower) ? "not counted" : `${formatShares(lower, upper)} ${measure}`;
  const alarm = alarmWords(history, step);
  return {
    title: history.layers[layer]?.name ?? "",
    lines: [`${stepWords(step)}: ${share}`],
    alarm: alarm === "" ? null : alarm,
  };
}

/** What the reader has to know of the lines; empty where that is nothing. */
export function timelineNote(
  history: History,
  tolerances: Tolerances,
  measure: Measure,
  held: number | null,
): string {
  const { steps, looks, dead_at } = history;
  const notes: string[] = [];
  const ofDead = measure !== "inactive" && measure !== "dormant";
  if (measure !== "dormant" && isPerUnit(tolerances)) {
    notes.push("Over time thresholds of single units are not kept: lines are at atol alone.");
  }
  if (ofDead && dead_at !== tolerances.dead_at) {
    notes.push(`Over time dead is kept at ${formatShare(dead_at)} of the probes.`);
  }
  if (steps.length < looks) {
    notes.push(`${formatInteger(steps.length)} of ${plural(looks, "look")} are on this page.`);
  }
  if (held !== null && held < looks) {
    notes.push(`Units of ${formatInteger(held)} of ${plural(looks, "look")} are in this file.`);
  }
  return notes.join(" ");
}
