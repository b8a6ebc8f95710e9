"""The top probes of a layer by plain NumPy, from all its responses at once."""

from __future__ import annotations

import numpy as np
import pandas as pd


def by_numpy(values: np.ndarray, k: int, real: np.ndarray | None = None) -> pd.DataFrame:
    """Of responses of shape (inputs, units, positions); a position of -1 where there is one."""
    rows = []
    magnitudes = np.where(np.isfinite(values), np.abs(values), 0)
    if real is not None:
        magnitudes = np.where(real[:, None], magnitudes, 0)
    for unit in range(values.shape[1]):
        best = magnitudes[:, unit].max(axis=1, initial=0)
        ranked = [n for n in np.argsort(-best, kind="stable") if best[n] > 0][:k]
        for rank, probe in enumerate(ranked, start=1):
            position = int(magnitudes[probe, unit].argmax())
            rows.append((unit, rank, probe, position, float(values[probe, unit, position])))
    return pd.DataFrame(rows, columns=["unit", "rank", "probe", "position", "value"])


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    for name in ("unit", "rank", "probe", "value"):
        assert found[name].tolist() == expected[name].tolist(), name
    if found["position"].notna().all():
        assert found["position"].tolist() == expected["position"].tolist()
