"""Scans on disk: no class or instance number wraps."""

from pathlib import Path

import numpy as np
import pytest

from cache.card import Card
from cache.scans import write_scan


@pytest.mark.parametrize(("name", "number"), [("semantic", 256), ("instance", 65_536)])
def test_a_number_that_does_not_fit_is_refused(tmp_path: Path, name: str, number: int) -> None:
    arrays = {"vertices": np.zeros((3, 3)), name: np.array([0, 1, number])}
    with pytest.raises(ValueError, match=f"{name}: {number} is more than uint"):
        write_scan(tmp_path / "a", arrays, Card("annotated scan", 1, {}, {}))
    assert not (tmp_path / "a").exists()
