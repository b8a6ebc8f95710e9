"""Counting on the device of the responses: one engine, and kernels of PyTorch's or Triton's."""
