"""Amounts of memory, and which counts there is room for."""
