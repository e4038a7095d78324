"""ScanNet's classes: names and nyu40 ids of what is judged."""

# nyu40 ids of the 18 classes that detection is judged on (VoteNet, 3DETR).
DETECTION_IDS = (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39)


# And of the 20 that semantic segmentation is judged on (ScanNet's benchmark): walls and floors too.
SEGMENTATION_IDS = (1, 2, *DETECTION_IDS)


# Of SEGMENTATION_IDS, in their order.
CLASSES = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture",
    "counter", "desk", "curtain", "refrigerator", "shower curtain", "toilet", "sink", "bathtub",
    "other furniture",
)  # fmt: skip
