"""Plans which counts there is memory for, and keeps a run within it."""
