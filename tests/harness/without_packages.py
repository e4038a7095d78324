"""Commands run one after the other in a process where some packages cannot be imported."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tests.conftest import REPOSITORY

STAGE_ONE = (
    "cv2", "h5py", "libusb_package", "open3d", "open_clip", "plyfile", "timm", "transformers",
)  # fmt: skip

PROGRAM = """
import contextlib, io, json, sys
blocked, commands = json.load(sys.stdin)

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Finder())
from pipeline.cli import main

ends = []
for words in commands:
    sys.argv = ["distill3d", *words]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code
    ends.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(ends))
"""


@dataclass(frozen=True)
class End:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


def run_without(packages: Sequence[str], commands: Sequence[Sequence[object]]) -> list[End]:
    """Run commands of `distill3d`; fails if one ends with an exception that it does not catch."""
    words = [[str(word) for word in command] for command in commands]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=REPOSITORY, capture_output=True, text=True,
        input=json.dumps([list(packages), words]), env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [End(*end) for end in json.loads(done.stdout.splitlines()[-1])]
