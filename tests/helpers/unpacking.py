"""Reads a packed snapshot as its description says, sharing no code with what packs it."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np


def unpack(snapshot: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    magic, version, header_size, zero = struct.unpack_from("<4sIII", snapshot)
    assert (magic, version, zero) == (b"IUAW", 3, 0)
    assert (16 + header_size) % 8 == 0
    header = json.loads(snapshot[16 : 16 + header_size])
    arrays = {}
    for name, entry in header["arrays"].items():
        assert entry["offset"] % 8 == 0
        assert entry["offset"] >= 16 + header_size
        flat = np.frombuffer(
            snapshot, "<" + entry["dtype"], int(np.prod(entry["shape"])), entry["offset"]
        )
        arrays[name] = flat.reshape(entry["shape"])
    return header["meta"], arrays
