"""Part segmentation of objects."""
