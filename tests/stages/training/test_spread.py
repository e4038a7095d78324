"""Means and deviations, by hand."""

import pytest

from stages.training.spread import beside, said, spread


def test_of_one_value_there_is_no_deviation() -> None:
    assert spread([0.5]) == {"mean": 0.5, "std": None, "runs": [0.5]}
    assert said(spread([0.5])) == "0.5000 (one seed)"


def test_the_deviation_is_a_samples() -> None:
    found = spread([1.0, 2.0, 6.0])
    assert found["mean"] == 3
    assert found["std"] == pytest.approx((14 / 2) ** 0.5)
    assert said(found) == "3.0000 +- 2.6458"


def test_differences_are_seed_for_seed() -> None:
    """Both arms vary, their difference does not."""
    found = beside([0.3, 0.5, 0.4], [0.2, 0.4, 0.3])
    assert found["difference"]["mean"] == pytest.approx(0.1)
    assert found["difference"]["std"] == pytest.approx(0, abs=1e-12)
    assert found["trained"]["std"] == pytest.approx(0.1)
    assert said(found["difference"], sign="+").startswith("+0.1000 +- 0.0000")
