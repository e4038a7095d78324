"""Code, not data: one module for each format that a run leaves on disk."""
