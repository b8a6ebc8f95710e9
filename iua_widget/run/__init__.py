"""A run: opens a stream, counts its batches, reads and merges the counts."""
