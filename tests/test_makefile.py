"""What `make` would run, without running it."""

import os
import shlex
import shutil
import subprocess

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


def would_run(*words: str) -> list[str]:
    """The words of the last command of a target."""
    # Of a make that runs these tests nothing is taken over: it would print folders, and pass options on.
    own = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    done = subprocess.run(
        ["make", "-n", *words], cwd=REPOSITORY, check=True, capture_output=True, text=True,
        env={name: value for name, value in own.items() if name != "MFLAGS"},
    )  # fmt: skip
    return shlex.split(done.stdout.splitlines()[-1])


def changes(text: str) -> list[str]:
    words = would_run("pretrain", f"SET={text}")
    given = words[words.index("--workspace") + 2 :]
    assert given[::2] == ["--set"] * (len(given) // 2)
    return given[1::2]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        ("  ", []),
        ("extract.seed=1", ["extract.seed=1"]),
        ("extract.seed=1 extract.splits=[train]", ["extract.seed=1", "extract.splits=[train]"]),
        ("teacher.source=/my weights/c.pt", ["teacher.source=/my weights/c.pt"]),
        ("a.b=/my x/c.pt a.c=1", ["a.b=/my x/c.pt", "a.c=1"]),
        ("a.b={width: 24, depth: 2} a.c.d=[1, 2]", ["a.b={width: 24, depth: 2}", "a.c.d=[1, 2]"]),
        ("a.b=x y=z a.c=*", ["a.b=x y=z", "a.c=*"]),
        ("a.b=it's a.c=$$HOME", ["a.b=it's", "a.c=$HOME"]),
        ("nothing", ["nothing"]),
        ("seed=1 a.b=2", ["seed=1", "a.b=2"]),
    ],
)
def test_changes_are_taken_apart_where_a_key_begins(text: str, wanted: list[str]) -> None:
    assert changes(text) == wanted


def test_folders_with_spaces() -> None:
    words = would_run("extract", "WORKSPACE=/my data/out", "SCANNET=/my data", "SET=a.b=1 2")
    assert words[words.index("--workspace") + 1] == "/my data/out"
    assert words[words.index("--scannet") + 1] == "/my data"
    assert words[-2:] == ["--set", "a.b=1 2"]


def test_help_names_every_target() -> None:
    said = subprocess.run(
        ["make", "help"], cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout
    makefile = (REPOSITORY / "Makefile").read_text()
    phony = next(line for line in makefile.splitlines() if line.startswith(".PHONY:"))
    for target in phony.split()[1:]:
        assert f"  make {target} " in said
    assert "teacher.source=/my weights/c.pt" in said
