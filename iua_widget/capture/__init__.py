"""Capturing the responses of PyTorch models, without leaving a trace on them."""
