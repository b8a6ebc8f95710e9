"""Runs as files: the container, what is kept of a run, and saving it as it goes."""
