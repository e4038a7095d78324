"""Classification of objects."""
