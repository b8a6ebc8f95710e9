/** A history for tests: two layers of four units at three looks, at three stops. */

import { pack } from "./pack";

export function packHistory(changes: object = {}): DataView {
  const columns = [0, 1, 2, 3];
  const shape = [4, 3, 2];
  const full = 65535;
  return pack(
    {
      kind: "history",
      steps: [0, 100, 200],
      looks: 3,
      whole: [0, 200],
      layers: [
        { name: "a", units: 4, neurons: 4 },
        { name: "b", units: 4, neurons: 2 },
      ],
      stops: [0, 0.1, 1],
      columns,
      taus: [0, 0.1],
      dead_at: 1,
      alarms: [{ step: 200, rule: "dead-share>=50%", layers: ["a", "b"] }],
      ...changes,
    },
    {
      inactive: {
        dtype: "u2",
        shape,
        values: columns
          .flatMap((column) => [0, 1, 2, 3, 4, 5].map((cell) => (full * (column + cell)) / 8))
          .map(Math.round),
      },
      dead: {
        dtype: "u1",
        shape,
        values: [0, 0, 1, 0, 2, 0, 1, 0, 1, 1, 2, 1, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4],
      },
      newly_dead: { dtype: "u1", shape, values: [0, 0, 1, 0, 1, 0, ...new Array(18).fill(0)] },
      revived: { dtype: "u1", shape, values: new Array(24).fill(0) },
      dormant: { dtype: "u1", shape: [2, 3, 2], values: [0, 0, 1, 1, 2, 2, 4, 2, 4, 2, 4, 2] },
      mean_abs: { dtype: "f8", shape: [3, 2], values: [1, 0.05, 0.5, 0.2, 0.1, Number.NaN] },
    },
  );
}
