"""Engines, which count: all have the interface in `engine`, and `reference` is the oracle."""
