"""Results, bounds, tables, charts and notes of tallies, at any tolerance."""
