"""The widget: what the page shows, and how it gets there."""
