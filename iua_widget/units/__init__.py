"""The choice of what a unit is, and responses arranged by units."""
