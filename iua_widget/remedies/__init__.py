"""What to do about dead units: removing them, or initializing them anew."""
