/** Describes what a unit of a layer is, in a few words and in a sentence. */

import { formatCounts, formatShape, plural } from "./format";
import type { LayerReading } from "./layer_reading";
import type { LayerMeta } from "./snapshot";

/**
 * Beside the number of units: "64 × 56 × 56", "channels of 64 × 56 × 56", "tokens of * × 768"; and
 * "12 of 71 tolerances" where counts of units are held at fewer than all.
 */
export function unitNote(meta: LayerMeta, stops: number): string {
  const parts = [shapeWords(meta), thinnedWords(meta, stops)];
  return parts.filter((part) => part !== "").join(" · ");
}

export function shapeWords(meta: LayerMeta): string {
  const shape = formatShape(meta.response_shape);
  if (meta.unit === "channel") return `channels of ${shape}`;
  if (meta.unit === "token") return `tokens of ${shape}`;
  return meta.shape.length > 1 ? shape : "";
}

function thinnedWords(meta: LayerMeta, stops: number): string {
  return meta.stops < stops ? `${meta.stops} of ${plural(stops, "tolerance")}` : "";
}

/** "1,024 padded positions left out", or nothing where none was. */
export function maskedNote(meta: LayerMeta): string {
  return meta.masked > 0 ? `${plural(meta.masked, "padded position")} left out` : "";
}

export function unitSentence(meta: LayerMeta, stops: number): string {
  const thinned = thinnedWords(meta, stops);
  const short = thinned === "" ? "" : ` Memory was short: units are counted at ${thinned}.`;
  return `${whatAUnitIs(meta)}${short}`;
}

function whatAUnitIs(meta: LayerMeta): string {
  const shape = `One input gives ${formatShape(meta.response_shape)}.`;
  const probes = ` ${plural(meta.probes, "probe")} counted so far.`;
  const masked = meta.masked > 0 ? ` ${maskedNote(meta)}.` : "";
  if (meta.unit === "channel") {
    return `A unit is a channel: inactive on an input only where it is so at every position. ${shape}${probes}${masked}`;
  }
  if (meta.unit === "token") {
    const tokens = `${plural(meta.probes, "token")} counted so far`;
    return `A unit is a channel, and every token is a probe: ${tokens}. ${shape}${masked}`;
  }
  return `Every entry of a response is a unit. ${shape}${probes}`;
}

/** After the number of dead ones in the heatmap's heading. */
export function unitSummary(meta: LayerMeta): string {
  if (meta.unit === "channel") {
    return `${plural(meta.units, "channel")}, inactive where every position is`;
  }
  if (meta.unit === "token") {
    return `${plural(meta.units, "channel")}, every token a probe`;
  }
  return plural(meta.units, "unit");
}

/** "of 64 channels" where what can be dormant is a channel; otherwise empty. */
export function dormantOf({ channels }: LayerMeta): string {
  return channels === null ? "" : `of ${plural(channels, "channel")}`;
}

/** "3 of 64 channels" where some are, or may be, dead as a whole; otherwise empty. */
export function deadChannels(reading: LayerReading): string {
  const { meta, lower, upper } = reading;
  if (meta.channels === null || upper.deadChannels === 0) return "";
  const dead = formatCounts(lower.deadChannels, upper.deadChannels);
  return `${dead} of ${plural(meta.channels, "channel")}`;
}
