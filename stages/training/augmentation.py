"""How pre-training and classification augment clouds: Point-MAE's values, which the paper takes."""

SCALE = (2 / 3, 3 / 2)  # of each axis by itself
TRANSLATION = 0.2  # of each axis, either way
