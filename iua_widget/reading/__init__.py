"""What tallies say: results, bounds, tables, charts and notes at any tolerance."""
