"""For all tests, and before any module is collected: Triton where there is no GPU, or no Triton."""

import os
from importlib.util import find_spec

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is defined

collect_ignore_glob = [] if find_spec("triton") else ["iua_widget/counting/device/triton_*.py"]
