"""What every other package may use, and what knows of none of them."""
