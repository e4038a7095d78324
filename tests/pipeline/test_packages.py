"""Errors in a line, and packages that one stage needs."""

import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.packages import EXTRAS, explained, require
from stages.precompute.recordings.extract_scene import ExtractConfig
from tests.conftest import REPOSITORY

# What is imported of a distribution that has another name; timm comes with open_clip_torch.
IMPORTED = {
    "open_clip_torch": "open_clip", "opencv-python": "cv2", "scikit-learn": "sklearn",
    "libusb-package": "libusb_package",
}  # fmt: skip


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_extras_are_those_of_the_project(extra: str) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    names = [line.partition(">")[0] for line in project["optional-dependencies"][extra]]
    imported = {IMPORTED.get(name, name) for name in names}
    common = {"torch"} if extra == "precompute" else set()
    assert set(EXTRAS[extra]) == imported - common


def test_a_package_that_is_missing() -> None:
    require("numpy", "torch")
    with pytest.raises(ModuleNotFoundError, match="No module named 'nothing_of_the_kind'"):
        require("numpy", "nothing_of_the_kind")
    missing = ModuleNotFoundError("No module named 'sklearn.svm'", name="sklearn.svm")
    assert explained(missing) == (
        "the package sklearn is not installed here; from the checkout: pip install -e '.[training]'"
    )
    ours = ModuleNotFoundError("No module named 'stages.gone'", name="stages.gone")
    assert explained(ours) == "No module named 'stages.gone'"


def test_other_errors_are_one_line() -> None:
    with pytest.raises(OSError, match="No such file") as missing:
        Path("/nowhere/a.txt").read_text()
    assert explained(missing.value) == "/nowhere/a.txt: No such file or directory"
    with pytest.raises(ValidationError) as other:
        ExtractConfig.model_validate({"gone": 1})
    assert explained(other.value) == (
        "a configuration that was stored is of another version: gone: Extra inputs are not permitted"
    )
    assert explained(ValueError("two\n  lines")) == "two lines"
