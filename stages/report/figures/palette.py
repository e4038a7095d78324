"""Colours of classes in pictures."""

import numpy as np
from numpy.typing import NDArray

UNLABELLED = (70, 74, 82)
# ScanNet's benchmark colours of its 20 classes (BenchmarkScripts/util.py), by their nyu40 ids.
SCANNET = {
    1: (174, 199, 232), 2: (152, 223, 138), 3: (31, 119, 180), 4: (255, 187, 120),
    5: (188, 189, 34), 6: (140, 86, 75), 7: (255, 152, 150), 8: (214, 39, 40),
    9: (197, 176, 213), 10: (148, 103, 189), 11: (196, 156, 148), 12: (23, 190, 207),
    14: (247, 182, 210), 16: (219, 219, 141), 24: (255, 127, 14), 28: (158, 218, 229),
    33: (44, 160, 44), 34: (112, 128, 144), 36: (227, 119, 194), 39: (82, 84, 163),
}  # fmt: skip
PARTS = (
    (31, 119, 180),
    (255, 127, 14),
    (44, 160, 44),
    (214, 39, 40),
    (148, 103, 189),
    (188, 189, 34),
)


def nyu40_colors(ids: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return a colour (N, 3) for each nyu40 id (N,); one grey for all but the 20 classes."""
    table = np.full((max(256, int(ids.max(initial=0)) + 1), 3), UNLABELLED, np.uint8)
    for nyu40, color in SCANNET.items():
        table[nyu40] = color
    return table[ids]
