/** Warnings about a layer: NaN, no input, padding, memory, and more dead units than wanted. */

import { formatInteger, formatShare, plural } from "../reading/format";
import type { LayerMeta } from "../reading/snapshot";
import { maskedNote } from "../reading/unit_words";

export interface LayerWarning {
  readonly level: "bad" | "note";
  /** On the mark in the row. */
  readonly mark: string;
  readonly text: string;
}

interface WarningContext {
  /** How many stops there are. */
  readonly stops: number;
  /** Nothing finite ever came. */
  readonly broken: boolean;
  readonly deadShare: number;
  /** The share of dead units from which on a layer is an alarm. */
  readonly alarm: number;
}

function divergedWarning(meta: LayerMeta, broken: boolean): LayerWarning | null {
  const parts: string[] = [];
  if (meta.nan > 0) parts.push(`${formatInteger(meta.nan)} NaN`);
  if (meta.infinite > 0) parts.push(`${formatInteger(meta.infinite)} infinite`);
  if (parts.length === 0) return null;
  const mark = meta.nan > 0 ? "NaN" : "inf";
  const what = `${parts.join(" and ")} responses`;
  if (broken) {
    return {
      level: "bad",
      mark: `all ${mark}`,
      text: `${what}, and no finite one but zero: the figures of this layer mean nothing.`,
    };
  }
  return {
    level: "bad",
    mark,
    text: `${what}: they are never inactive. What is dead is told from the probes on which a unit was finite.`,
  };
}

/** Why a layer has no probe, as far as that can be told. */
export function whyNone(meta: LayerMeta): string {
  if (meta.masked > 0) return ": all its positions are padding, as the mask of the batches says";
  if (meta.load === 0) return ": no token was routed to this expert";
  return meta.dtype === "" ? ": it was not called" : ": whenever it was called, no row was given";
}

/** The worst first. */
export function layerWarnings(meta: LayerMeta, context: WarningContext): LayerWarning[] {
  const warnings: LayerWarning[] = [];
  const diverged = divergedWarning(meta, context.broken);
  if (diverged !== null) warnings.push(diverged);
  if (context.deadShare >= context.alarm) {
    warnings.push({
      level: "bad",
      mark: "dead",
      text: `${formatShare(context.deadShare)} of the units are dead, at least the ${formatShare(context.alarm)} from which on you want to know.`,
    });
  }
  if (meta.probes === 0) {
    warnings.push({
      level: "bad",
      mark: meta.masked > 0 ? "all padding" : "no input",
      text: `No probe reached it${whyNone(meta)}.`,
    });
  }
  if (meta.stops < context.stops) {
    warnings.push({
      level: "note",
      mark: "memory",
      text: `Memory was short: units are counted at ${meta.stops} of ${plural(context.stops, "tolerance")}, and known as ranges between these. The figures in the table are not touched by this.`,
    });
  }
  if (meta.masked > 0) {
    warnings.push({
      level: "note",
      mark: "mask",
      text: `${maskedNote(meta)}, as the mask of the batches says.`,
    });
  }
  return warnings;
}
