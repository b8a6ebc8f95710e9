"""One run: its stream opened, its batches counted."""
