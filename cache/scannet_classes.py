"""ScanNet's classes: nyu40 ids and names of what each task judges."""

from cache.scene_set import Classes, SceneSet

_DETECTED = {
    3: "cabinet", 4: "bed", 5: "chair", 6: "sofa", 7: "table", 8: "door", 9: "window", 10: "bookshelf",
    11: "picture", 12: "counter", 14: "desk", 16: "curtain", 24: "refrigerator", 28: "shower curtain",
    33: "toilet", 34: "sink", 36: "bathtub", 39: "garbage bin",
}  # fmt: skip
_SEGMENTED = {1: "wall", 2: "floor", **_DETECTED, 39: "other furniture"}

SCANNET = SceneSet(
    name="scannet",
    segmentation=Classes(tuple(_SEGMENTED), tuple(_SEGMENTED.values())),  # ScanNet's benchmark
    detection=Classes(tuple(_DETECTED), tuple(_DETECTED.values())),  # VoteNet, 3DETR
)

# All 40 of NYU Depth v2 (Gupta, Arbelaez, Malik, CVPR 2013), by their ids from 1 on.
NYU40 = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture",
    "counter", "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat", "clothes",
    "ceiling", "books", "refrigerator", "television", "paper", "towel", "shower curtain", "box", "whiteboard",
    "person", "night stand", "toilet", "sink", "lamp", "bathtub", "bag", "other structure", "other furniture",
    "other prop",
)  # fmt: skip


def nyu40_name(number: int) -> str:
    """A class by its id, as text if it has no name."""
    return NYU40[number - 1] if 1 <= number <= len(NYU40) else str(number)
