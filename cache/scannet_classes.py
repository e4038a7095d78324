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
