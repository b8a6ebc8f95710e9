/** Snapshots of units, for tests. */

import type { UnitsSnapshot } from "../../src/reading/snapshot";

/** `columns` are cumulative counts: one list a stop, then one for any finite value. */
export function unitsSnapshot(
  shape: readonly number[],
  probes: number,
  stops: readonly number[],
  columns: readonly (readonly number[])[],
  changes: Partial<UnitsSnapshot> = {},
): UnitsSnapshot {
  return {
    layer: "layer",
    shape,
    channel_axis: 0,
    units: shape.reduce((all, size) => all * size, 1),
    probes,
    stops,
    columns: columns.map((_, column) => column),
    counts: Uint16Array.from(columns.flat()),
    mean_abs: null,
    rms: null,
    max_abs: null,
    dead_from: null,
    dead_at: 1,
    known: null,
    recounted: null,
    recount: null,
    comparison: null,
    evidence: new Map(),
    findings: null,
    ...changes,
  };
}
