"""`make bench`, or `make bench ARGS=extract` for some of them."""

import sys

from tests.benchmarks import extract

BENCHMARKS = {"extract": extract.main}

if __name__ == "__main__":
    for name in sys.argv[1:] or list(BENCHMARKS):
        print(f"== {name}")
        BENCHMARKS[name]()
