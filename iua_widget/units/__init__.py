"""What a unit is, and responses arranged by units."""
