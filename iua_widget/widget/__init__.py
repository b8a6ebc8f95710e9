"""The widget: its traits, its runs, and what it sends to the page."""
