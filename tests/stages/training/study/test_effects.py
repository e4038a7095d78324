"""Paired differences and their hierarchical bootstrap."""

import numpy as np
import pytest
from scipy import stats

from stages.training.study.effects import Place, effect

Numbers = dict[Place, float]


def _of(value: dict[tuple[int, int, int], float]) -> tuple[Numbers, Numbers]:
    """Two arms with these differences, on a shared level of each place that pairing takes away."""
    level = {place: 0.2 + 0.1 * place[1] for place in value}
    return {place: level[place] + own for place, own in value.items()}, level


def _grid(pre_trainings: int, subsets: int = 5, seeds: int = 3) -> list[Place]:
    return [(p, s, r) for p in range(pre_trainings) for s in range(subsets) for r in range(seeds)]


def test_a_difference_that_is_the_same_everywhere() -> None:
    found = effect(*_of(dict.fromkeys(_grid(3), 0.01)))
    assert found.mean == pytest.approx(0.01)
    assert found.interval == pytest.approx((0.01, 0.01))
    assert found.is_clear
    assert (found.improved, found.pairs) == (1.0, 45)
    assert found.by_pre_training == pytest.approx((0.01,) * 3)


def test_no_interval_of_two_pre_trainings() -> None:
    found = effect(*_of(dict.fromkeys(_grid(2), 0.01)))
    assert found.interval is None
    assert not found.is_clear


def test_pre_trainings_that_disagree_are_no_effect_however_many_labels_there_are() -> None:
    differing = {place: 0.02 if place[0] else -0.01 for place in _grid(3, 50)}
    found = effect(*_of(differing))
    assert found.mean == pytest.approx(0.01)
    # A t-test over the 450 numbers would be sure of it.
    assert stats.ttest_1samp(list(differing.values()), 0).pvalue < 1e-10
    assert found.interval is not None
    # One in 27 draws takes the bad one three times; two of three times it is twice there.
    assert found.interval[0] == pytest.approx(-0.01)
    assert not found.is_clear


def test_the_interval_of_many_pre_trainings_is_that_of_their_means() -> None:
    generator = np.random.default_rng(3)
    own = generator.normal(0.01, 0.02, 40)
    found = effect(*_of({place: own[place[0]] for place in _grid(40, 2, 2)}))
    plain = stats.bootstrap((own,), np.mean, method="percentile", n_resamples=20_000, rng=1)
    assert found.interval is not None
    low, high = plain.confidence_interval
    assert found.interval == pytest.approx((low, high), abs=5e-4)


def test_places_of_one_arm_only_and_ties_count_as_they_should() -> None:
    first, second = _of({(0, 0, 0): 0.0, (0, 0, 1): 0.1, (1, 0, 0): -0.1})
    del second[1, 0, 0]
    found = effect(first, second)
    assert (found.pairs, found.improved) == (2, 0.75)
    with pytest.raises(ValueError, match="no numbers of both arms"):
        effect({(0, 0, 0): 1.0}, {(1, 0, 0): 1.0})


def test_uneven_numbers_of_seeds() -> None:
    places = [(p, s, r) for p in range(3) for s in range(2) for r in range(1 + s)]
    found = effect(*_of({place: 0.01 * (1 + place[1]) for place in places}))
    assert found.mean == pytest.approx(0.015)  # subsets weigh alike, not their seeds
    assert found.interval == pytest.approx((0.01, 0.02), abs=6e-3)
