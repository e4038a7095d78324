"""Colours of classes in pictures: a class has one, in every picture and of every set."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cache.scannet_classes import SCANNET as scannet_classes

UNLABELLED = (70, 74, 82)
# ScanNet's benchmark colours of its 20 classes (BenchmarkScripts/util.py), by their nyu40 ids.
SCANNET = {
    1: (174, 199, 232), 2: (152, 223, 138), 3: (31, 119, 180), 4: (255, 187, 120),
    5: (188, 189, 34), 6: (140, 86, 75), 7: (255, 152, 150), 8: (214, 39, 40),
    9: (197, 176, 213), 10: (148, 103, 189), 11: (196, 156, 148), 12: (23, 190, 207),
    14: (247, 182, 210), 16: (219, 219, 141), 24: (255, 127, 14), 28: (158, 218, 229),
    33: (44, 160, 44), 34: (112, 128, 144), 36: (227, 119, 194), 39: (82, 84, 163),
}  # fmt: skip
# Of classes that ScanNet does not have, in the order in which a set names them.
OTHERS = (
    (255, 217, 47), (102, 194, 165), (231, 138, 195), (166, 216, 84), (141, 160, 203), (229, 196, 148),
    (179, 222, 105), (251, 128, 114), (128, 177, 211), (188, 128, 189),
)  # fmt: skip
PARTS = (
    (31, 119, 180),
    (255, 127, 14),
    (44, 160, 44),
    (214, 39, 40),
    (148, 103, 189),
    (188, 189, 34),
)


def class_colors(names: Sequence[str]) -> NDArray[np.uint8]:
    """Return a colour (K + 1, 3) for each class by its name; the last, of number -1, is unlabelled."""
    known = {
        name: SCANNET[nyu40]
        for classes in (scannet_classes.segmentation, scannet_classes.detection)
        for nyu40, name in zip(classes.ids, classes.names, strict=True)
    }
    unknown = iter(name for name in names if name not in known)
    known |= {name: OTHERS[place % len(OTHERS)] for place, name in enumerate(unknown)}
    return np.array([*(known[name] for name in names), UNLABELLED], np.uint8)


def nyu40_colors(ids: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return a colour (N, 3) for each nyu40 id (N,); one grey for all but the 20 classes."""
    table = np.full((max(256, int(ids.max(initial=0)) + 1), 3), UNLABELLED, np.uint8)
    for nyu40, color in SCANNET.items():
        table[nyu40] = color
    return table[ids]
