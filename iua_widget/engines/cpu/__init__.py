"""The engine for CPUs: compiled loops on all cores."""
