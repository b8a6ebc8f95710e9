"""Producers made of stages: a dataset, what is done to each of its batches, and a model.

Examples
--------
>>> import numpy as np
>>> from iua_widget.stages import pipeline, pool, rename
>>> maps = {"conv": np.ones((10, 4, 6, 6))}
>>> for batch in pipeline(maps, pool("max"), rename({"conv": "conv1"}))(batch_size=5):
...     print(batch)
Batch(5 probes: conv1 (4,))
Batch(5 probes: conv1 (4,))
"""

from __future__ import annotations

from iua_widget.sources.batch import Batch
from iua_widget.sources.pipeline import Pipeline, PipelineStage, pipeline
from iua_widget.sources.processors import pool, rename, transpose
from iua_widget.sources.source import Producer

__all__ = [
    "Batch",
    "Pipeline",
    "PipelineStage",
    "Producer",
    "pipeline",
    "pool",
    "rename",
    "transpose",
]
