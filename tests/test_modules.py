"""Every module of the project: importable by its name, with words about it, and of a readable size."""

import ast
import importlib
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

PACKAGES = ("cache", "distill3d", "pipeline", "stages")
FILES = sorted(
    file for package in PACKAGES for file in (REPOSITORY / package).rglob("*.py")
)  # fmt: skip
MODULES = [
    ".".join(file.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
    for file in FILES
]
# What commands read before they are asked for anything slow.
WITHOUT_TORCH = (
    "pipeline.cli", "pipeline.downstream", "stages.training.tasks.table", "stages.training.pretraining.config",
    "stages.precompute.teacher.caption_config", "stages.loop.loop_config", "stages.training.networks.shapes",
    *(f"stages.training.tasks.{task}.config" for task in ("classification", "parts", "segmentation", "detection")),
)  # fmt: skip
MAX_LINES = 340


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_a_module_is_imported_by_its_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "stages.geometry.fps_triton":
        pytest.importorskip("triton")
    assert importlib.import_module(name).__doc__
    assert capsys.readouterr() == ("", "")


def test_schemas_and_the_table_of_tasks_need_no_torch() -> None:
    code = (
        "import importlib, sys\n"
        f"for name in {WITHOUT_TORCH!r}: importlib.import_module(name)\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.stdout == "False\n", done.stderr


def test_no_module_is_long_and_most_are_short() -> None:
    lengths = {file: len(file.read_text().splitlines()) for file in FILES}
    assert {file.name: n for file, n in lengths.items() if n > MAX_LINES} == {}
    bodies = [n for file, n in lengths.items() if file.name != "__init__.py"]
    assert sorted(bodies)[len(bodies) // 2] < 110


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(REPOSITORY)) for file in FILES])
def test_what_is_public_says_what_it_does(file: object) -> None:
    tree = ast.parse(file.read_text())  # type: ignore[attr-defined]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


@pytest.mark.slow
def test_a_task_without_its_lines_is_a_type_error() -> None:
    """A name more in the table of tasks, and mypy says which `match` lacks it."""
    names = REPOSITORY / "stages" / "training" / "tasks" / "names.py"
    longer = names.read_text() + '    TRACKING = "tracking"\n'
    shadow = ["--shadow-file", str(names)]
    with open(REPOSITORY / ".names_with_one_more", "w") as file:
        file.write(longer)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "mypy", *shadow, file.name, "-p", "stages.training.tasks"],
            cwd=REPOSITORY, capture_output=True, text=True,
        )  # fmt: skip
    finally:
        (REPOSITORY / ".names_with_one_more").unlink()
    said = [line for line in done.stdout.splitlines() if "table.py" in line and "error" in line]
    assert len(said) == 2, done.stdout
    assert all("TRACKING" in line for line in said)
