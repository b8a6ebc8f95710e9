/** Chooses picture, legend and notes for the units on show, as they are to be drawn. */

import { type Coloring, DEAD, isEvidence, NOT_FINITE } from "../canvas/levels";
import type { UnitPicture } from "../canvas/unit_canvas";
import { orderUnits } from "../canvas/unit_order";
import { formatCounts, formatTolerance } from "../reading/format";
import { layoutKind } from "../reading/layout";
import type { ChangeSurvey } from "../reading/unit_changes";
import { deadRule, probeWord, type UnitsInView } from "../reading/units_in_view";
import type { PictureChoices } from "./heatmap_tools";
import type { LegendState } from "./legend";
import { LEVEL_OF_FATE, marksTheDead, type ReadingSurvey, type UnitFacts } from "./unit_facts";

const CHANGES_ABSENT =
  "What became of units is not known here: the layer is compared with nothing, or it is too large.";
export const COUNTS_ABSENT =
  "Of this moment what is dead is kept, and mean |x|; not how often each unit was inactive.";
export const MEAN_ABSENT = "Mean |x| of each unit was not sent: the layer is too large.";

/** The units on show, and what is known of them as a whole. */
export interface ShownUnits {
  readonly data: UnitsInView;
  readonly facts: UnitFacts;
  readonly survey: ReadingSurvey;
  readonly coloring: Coloring;
  /** The coloring asked for, which there may be nothing to color by. */
  readonly wanted: Coloring;
}

export function pictureAndLegend(
  { data, facts, survey, coloring }: ShownUnits,
  { pooling, across, order }: PictureChoices,
): { readonly picture: UnitPicture; readonly legend: LegendState } {
  const { reading, units } = data;
  const range = facts.range(coloring, reading, data.dead.from);
  const sorted = order === "activity" && layoutKind(units.shape) === "grid";
  const notFinite = facts.notFinite.length;
  const probe = probeWord(data);
  const changes = coloring === "change" ? data.changes : null;
  return {
    picture: {
      layer: units.layer,
      shape: units.shape,
      levels:
        changes === null
          ? facts.levels(reading, coloring, data.dead, range, pooling)
          : facts.changeLevels(changes, pooling),
      pooling,
      order: sorted ? orderUnits(reading.lower, true) : null,
      across,
      signals:
        changes === null
          ? deadAndNotFinite(marksTheDead(coloring) ? survey.dead : 0, notFinite)
          : signalsOf(changes.survey),
    },
    legend: {
      coloring,
      probes: units.probes,
      probe,
      range,
      deadRule: deadRule(data.tolerances.dead_at, notFinite > 0 ? `finite ${probe}` : probe),
      dead: formatCounts(survey.dead, survey.deadUpper),
      notFinite,
      changes: changes?.survey ?? null,
    },
  };
}

/** How many units have each signal, by level. */
function deadAndNotFinite(dead: number, notFinite: number): readonly number[] {
  const signals: number[] = [];
  signals[DEAD] = dead;
  signals[NOT_FINITE] = notFinite;
  return signals;
}

/** The same, where changes are colored. */
function signalsOf({ lower }: ChangeSurvey): readonly number[] {
  const signals: number[] = [];
  for (const [fate, level] of LEVEL_OF_FATE.entries()) {
    if (level !== null) signals[level] = lower[fate] as number;
  }
  return signals;
}

/** What the reader has to know of these numbers; empty where that is nothing. */
export function noteOn({ data, coloring, wanted }: ShownUnits): string {
  const absent =
    wanted === "change"
      ? CHANGES_ABSENT
      : isEvidence(wanted)
        ? `There is no ${wanted} of these units.`
        : MEAN_ABSENT;
  const kept = data.units.dead_from === null;
  const color = wanted === coloring || !kept ? "" : `${absent} Inactive share is shown.`;
  return [stopsNote(data), color].join(" ").trim();
}

function stopsNote({ units, reading }: UnitsInView): string {
  if (units.dead_from !== null) return COUNTS_ABSENT;
  if (units.stops.length + 1 === units.columns.length || reading.exact) return "";
  const here = units.columns.filter((column) => column < units.stops.length).length;
  const at =
    reading.lowerColumn >= 0 && reading.lowerColumn < units.stops.length
      ? ` The picture shows ${formatTolerance(units.stops[reading.lowerColumn] as number)}.`
      : "";
  return `This layer is large: ${here} of ${units.stops.length} tolerances are on this page.${at}`;
}

/** Attributes of the canvas: what is on show, in figures, where a script finds them. */
export function figuresOf({
  data: { units, reading },
  survey,
}: ShownUnits): Readonly<Record<string, string>> {
  return {
    "aria-label": `heatmap of ${units.layer}`,
    "data-layer": units.layer,
    "data-units": String(units.units),
    "data-dead": String(survey.dead),
    "data-inactive-sum": String(survey.inactive),
    "data-exact": String(reading.exact),
  };
}
