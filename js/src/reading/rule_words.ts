/** The rule that says when a unit is inactive, as one line. */

import { formatTolerance } from "./format";
import type { Scale, Threshold } from "./threshold";

/** What rtol is relative to, as it is written on the page. */
export const SCALES: Readonly<Record<Scale, string>> = {
  zero: "zero",
  layer_mean: "layer mean |x|",
  unit_rms: "unit RMS",
  unit_max: "unit max |x|",
};

export function ruleInWords({ atol, rtol, scale }: Threshold): string {
  const relative =
    scale !== "zero" && rtol > 0 ? `${formatTolerance(rtol)} × ${SCALES[scale]}` : "";
  if (relative === "") return atol === 0 ? "x = 0 exactly" : `|x| ≤ ${formatTolerance(atol)}`;
  return atol === 0 ? `|x| ≤ ${relative}` : `|x| ≤ ${formatTolerance(atol)} + ${relative}`;
}
