"""Sampling and neighbours, as the operations of public Point-MAE checkpoints compute them."""

import json

import numpy as np
import pytest
import torch

from stages.geometry import pointops
from stages.geometry.pointops import (
    NEAR_ORIGIN,
    farthest_point_sample,
    gather_points,
    nearest_in_order,
    nearest_neighbors,
)
from stages.training.networks.set_abstraction import ball_query
from stages.training.networks.tokenizer import make_patches
from tests.conftest import REPOSITORY

GOLDEN = REPOSITORY / "tests" / "golden" / "fps_knn"
ARRAYS = np.load(GOLDEN / "fps_knn.npz")
CASES = json.loads((GOLDEN / "meta.json").read_text())["cases"]


def case(name: str) -> dict[str, torch.Tensor]:
    keys = [key for key in ARRAYS.files if key.startswith(f"{name}/")]
    return {key.split("/")[1]: torch.from_numpy(ARRAYS[key]) for key in keys}


@pytest.mark.parametrize("name", CASES)
def test_centres_are_the_references(name: str) -> None:
    golden, check = case(name), CASES[name]["check"]
    points, expected = golden["points"], golden["fps_idx"].long()
    chosen = farthest_point_sample(points, expected.shape[1])
    assert (chosen[:, 0] == 0).all()
    if check.startswith("fps_idx exactly"):
        assert torch.equal(chosen, expected)
    assert_each_is_farthest(points, chosen)
    if name == "duplicates":
        torch.testing.assert_close(gather_points(points, chosen), golden["center"], atol=0, rtol=0)


def assert_each_is_farthest(points: torch.Tensor, chosen: torch.Tensor) -> None:
    """The rule itself, in float64: each pick is a candidate as far as any from those before."""
    for cloud, picks in zip(points.double(), chosen, strict=True):
        candidate = (cloud.float() ** 2).sum(-1) > NEAR_ORIGIN
        for count in range(1, len(picks)):
            distance = torch.cdist(cloud, cloud[picks[:count]]).amin(dim=1) ** 2
            most = distance[candidate].max() if candidate.any() else distance[0] * 0
            assert candidate[picks[count]] or not candidate.any()
            assert distance[picks[count]] >= most * (1 - 1e-5) - 1e-12


@pytest.mark.parametrize("name", CASES)
def test_neighbours_are_the_references(name: str) -> None:
    golden, check = case(name), CASES[name]["check_knn"]
    points, center = golden["points"], golden["center"]
    distance, index = nearest_neighbors(center, points, golden["knn_idx"].shape[-1])
    np.testing.assert_allclose(distance, golden["knn_dist"], atol=2e-6)
    if check.startswith("knn_idx exactly"):
        assert torch.equal(index, golden["knn_idx"].long())
        patches = gather_points(points, index) - center[:, :, None]
        np.testing.assert_allclose(patches, golden["neighborhood"], atol=1e-6)


def test_the_rule_about_the_origin_can_be_left_out() -> None:
    points = torch.tensor([[[1.0, 0, 0], [0, 0, 0], [0.9, 0, 0], [1.1, 0, 0]]])
    with_rule = farthest_point_sample(points, 3)
    without = farthest_point_sample(points, 2, near_origin_rule=False)
    assert 1 not in with_rule[0].tolist()
    assert without.tolist() == [[0, 1]]


def test_far_from_the_origin_neighbours_stay_right() -> None:
    """Where torch.cdist's default, by matrix products, is wrong."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(1, 500, 3, generator=generator) + 100
    _, index = nearest_neighbors(points[:, :20], points, 8)
    exact = torch.cdist(points[:, :20].double(), points.double()).topk(8, largest=False).indices
    assert torch.equal(index, exact)


def test_patches_by_hand() -> None:
    """Two far groups of points: a patch each, minus its centre, covering all."""
    near = torch.tensor([[1.0, 0, 0], [1.1, 0, 0], [1.0, 0.2, 0]])
    points = torch.cat([near, near + 10])[None]
    patches = make_patches(points, 2, 3)
    np.testing.assert_allclose(patches.centers[0, 0], [1, 0, 0])
    assert sorted(patches.indices[0, 0].tolist()) == [0, 1, 2]
    assert sorted(patches.indices[0, 1].tolist()) == [3, 4, 5]
    assert patches.neighborhoods[0, :, 0].abs().max() == 0
    assert patches.coverage(6).tolist() == [1.0]
    assert make_patches(points, 1, 3).coverage(6).tolist() == [0.5]


def test_of_equally_near_centres_the_lower_index_comes_first() -> None:
    centers = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, 0, 3]]])
    distance, index = nearest_in_order(torch.zeros(1, 2, 3), centers)
    assert index.tolist() == [[[0, 1, 2]] * 2]
    assert distance.tolist() == [[[1.0, 1, 1]] * 2]
    many = torch.rand(2, 40, 3).repeat(1, 5, 1)  # each five times
    queries = torch.rand(2, 300, 3)
    _, found = nearest_in_order(queries, many)
    near = torch.cdist(queries.double(), many[:, :40].double()).argmin(dim=-1)
    assert torch.equal(found, torch.stack([near, near + 40, near + 80], dim=-1))
    assert nearest_in_order(queries, many[:, :2])[1].shape == (2, 300, 2)  # fewer than three


@pytest.mark.parametrize("limit", [1, 3 * 50 * 7, 3 * 50 * 20 - 1, 3 * 50 * 20])
def test_neighbours_in_blocks_are_as_in_one(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(3, 50, 3, generator=generator)
    queries = points[:, :20] + 0.01

    def results() -> list[torch.Tensor]:
        return [
            *nearest_neighbors(queries, points, 5),
            *nearest_in_order(queries, points),
            ball_query(queries, points, 0.3, 6),
        ]

    whole = results()
    sizes, cdist = [], torch.cdist

    def counted(first: torch.Tensor, second: torch.Tensor, **options: str) -> torch.Tensor:
        sizes.append(first.shape[0] * first.shape[1] * second.shape[1])
        return cdist(first, second, **options)

    monkeypatch.setattr(torch, "cdist", counted)
    monkeypatch.setattr(pointops, "MAX_PAIRS", limit)
    for ours, one in zip(results(), whole, strict=True):
        assert torch.equal(ours, one)
    assert max(sizes) <= max(limit, 3 * 50)  # a query of each cloud at least
    assert sum(sizes) == 3 * 3 * 50 * 20


def test_no_queries_no_neighbours() -> None:
    values, indices = nearest_neighbors(torch.rand(2, 0, 3), torch.rand(2, 9, 3), 4)
    assert values.shape == indices.shape == (2, 0, 4)
