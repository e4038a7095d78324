import itertools
from pathlib import Path

import pytest

from stages.training.study.subsets import count_of, official, subset

NAMES = [f"scene{number:04d}_00" for number in range(600)]


def test_budgets_are_nested_and_differ_from_subset_to_subset() -> None:
    counts = [count_of(percent, len(NAMES)) for percent in (0.01, 1, 5, 20)]
    assert counts == [1, 6, 30, 120]
    for number in range(5):
        drawn = [set(subset(NAMES, count, number)) for count in counts]
        assert [len(own) for own in drawn] == counts
        assert all(few <= more for few, more in itertools.pairwise(drawn))
    assert len({tuple(subset(NAMES, 30, number)) for number in range(5)}) == 5
    assert subset(NAMES, 600, 0) == NAMES
    with pytest.raises(ValueError, match="601 scans are wanted, 600 are there"):
        subset(NAMES, 601, 0)


def test_official_lists(tmp_path: Path) -> None:
    (tmp_path / "5.txt").write_text("scene0001_00\nscene0000_00\n")
    assert official(tmp_path, 5.0) == ["scene0001_00", "scene0000_00"]
    with pytest.raises(ValueError, match=r"1\.txt: cannot be read"):
        official(tmp_path, 1.0)
