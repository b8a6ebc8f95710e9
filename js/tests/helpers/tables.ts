/** Table snapshots for tests, from a few words on each layer. */

import { decodeTable, type TableSnapshot } from "../../src/reading/snapshot";
import { layerMeta, pack } from "./pack";

export const STOPS = [0, 0.1, 1];
const RTOL_STOPS = [0, 0.5];
const TAU_STOPS = [0, 0.1];

export interface LayerWords {
  readonly name: string;
  readonly units: number;
  /** At the three stops, and for any finite value. */
  readonly mean: readonly number[];
  readonly dead: readonly number[];
  readonly dormant?: readonly number[];
  readonly meta?: object;
}

export function tableOf(layers: readonly LayerWords[], probes = 10): TableSnapshot {
  return decodeTable(packTable(layers, probes));
}

export function packTable(layers: readonly LayerWords[], probes = 10): DataView {
  const shape = [layers.length, STOPS.length + 1];
  return pack(
    {
      kind: "table",
      stops: STOPS,
      rtol_stops: RTOL_STOPS,
      tau_stops: TAU_STOPS,
      probes,
      dead_at: 1,
      layers: layers.map(({ name, units, meta }) => layerMeta(name, units, { probes, ...meta })),
    },
    {
      mean: { dtype: "f8", shape, values: layers.flatMap(({ mean }) => mean) },
      std: { dtype: "f8", shape, values: layers.flatMap(({ mean }) => mean.map((x) => x / 8)) },
      dead: { dtype: "u4", shape, values: layers.flatMap(({ dead }) => dead) },
      dead_channels: { dtype: "u4", shape, values: layers.flatMap(() => [0, 0, 0, 0]) },
      dormant: {
        dtype: "u4",
        shape: [layers.length, TAU_STOPS.length],
        values: layers.flatMap(({ dormant }) => dormant ?? [0, 0]),
      },
    },
  );
}
