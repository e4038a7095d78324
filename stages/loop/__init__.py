"""The one training loop and what it needs; below both halves, and knows no task."""
