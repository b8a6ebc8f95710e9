"""The mergeable counts of one layer."""
