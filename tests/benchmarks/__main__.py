"""`make bench`, or `make bench ARGS=extract` for some of them."""

import sys

from tests.benchmarks import detection, extract, objects, pretrain, segmentation, teacher_cache

BENCHMARKS = {
    "extract": extract.main,
    "teacher-cache": teacher_cache.main,
    "pretrain": pretrain.main,
    "objects": objects.main,
    "detection": detection.main,
    "segmentation": segmentation.main,
}

if __name__ == "__main__":
    unknown = set(sys.argv[1:]) - set(BENCHMARKS)
    if unknown:
        sys.exit(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    for name in sys.argv[1:] or list(BENCHMARKS):
        print(f"== {name}")
        BENCHMARKS[name]()
