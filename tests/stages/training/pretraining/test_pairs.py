"""Pairs: read as stored, matched by fingerprint, rows without a target dropped."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cache.card import CardError
from cache.scene_group import Listing
from stages.training.pretraining.pairs import load_pairs
from tests.worlds.pairs import write_pair

CPU = torch.device("cpu")


def write_random_pair(
    root: Path, scene_id: str, split: str, valid: Sequence[bool], *, frames: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """One scene of eight points a frame; returns its clouds and targets."""
    generator = np.random.default_rng(len(scene_id) + len(valid))
    clouds = generator.uniform(0.5, 3, (len(valid), 8, 3))
    targets = generator.normal(size=(len(valid), 2, 5)).astype(np.float16)
    targets[~np.array(valid)] = 0
    write_pair(root, scene_id, split, clouds, targets, valid, frames=frames)
    return clouds, targets


def listed(root: Path) -> tuple[Listing, Listing]:
    return Listing.read(root / "points.zarr"), Listing.read(root / "teacher" / "t.zarr")


def test_pairs_are_read_as_stored(tmp_path: Path) -> None:
    first = write_random_pair(tmp_path, "a", "train", [True] * 3)
    write_random_pair(tmp_path, "b", "val", [True] * 2)
    third = write_random_pair(tmp_path, "c", "train", [True, False, True, True])
    pairs = load_pairs(*listed(tmp_path), ("train",), CPU)
    assert (len(pairs), pairs.num_dropped, pairs.scene_ids) == (6, 1, ("a", "c"))
    assert (pairs.points.dtype, pairs.targets["prefix"].dtype) == (torch.int16, torch.float16)
    assert pairs.room.tolist() == [0, 0, 0, 1, 1, 1]
    assert pairs.row.tolist() == [0, 1, 2, 0, 2, 3]
    fewer = pairs.only(torch.tensor([True, False, True, True, False, True]))
    assert (fewer.row.tolist(), fewer.num_dropped) == ([0, 2, 0, 3], 3)
    kept = [0, 2, 3]
    targets = pairs.targets["prefix"]
    np.testing.assert_array_equal(targets, np.concatenate([first[1], third[1][kept]]))
    metres = pairs.metres(torch.arange(6))
    np.testing.assert_allclose(metres, np.concatenate([first[0], third[0][kept]]), atol=6e-4)
    _, std = pairs.target_statistics("prefix")
    np.testing.assert_allclose(std, targets.double().std(dim=0, unbiased=False), rtol=1e-6)


def test_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    points, store = tmp_path / "points.zarr", tmp_path / "teacher" / "t.zarr"
    with pytest.raises(ValueError, match="no scene there; run extract first"):
        load_pairs(Listing.read(points), Listing.read(store), ("train",), CPU)
    write_random_pair(tmp_path, "a", "train", [True])
    with pytest.raises(
        ValueError, match=r"no scene of val, only 1 of train\. .*--split val .*; or"
    ):
        load_pairs(Listing.read(points), Listing.read(store), ("val",), CPU, instead="; or else")
    write_random_pair(tmp_path, "b", "train", [True], frames="0123456789abcdef")
    with pytest.raises(CardError, match=r"b: its targets were made from frames 0123456789abcdef, "):
        load_pairs(Listing.read(points), Listing.read(store), ("train",), CPU)
    (store / "a" / "zarr.json").unlink()
    with pytest.raises(CardError, match=r"a is missing, though .*; run teacher-cache again"):
        load_pairs(Listing.read(points), Listing.read(store), ("train",), CPU)


def test_a_scene_without_any_target_is_no_pair(tmp_path: Path) -> None:
    write_random_pair(tmp_path, "a", "train", [False, False])
    with pytest.raises(ValueError, match="no frame of train with a valid target"):
        load_pairs(*listed(tmp_path), ("train",), CPU)


def test_rows_of_the_host_come_through_pinned_memory_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another device is played by `meta`, which holds nothing, and pinned memory by plain memory."""
    write_random_pair(tmp_path, "a", "train", [True] * 6)
    pairs = load_pairs(*listed(tmp_path), ("train",), CPU)
    rows, empty, staged = torch.tensor([4, 0, 4]), torch.empty, []

    def pinned(*size: object, pin_memory: bool, **options: torch.dtype) -> torch.Tensor:
        assert pin_memory
        staged.append(empty(*size, **options))
        return staged[-1]

    monkeypatch.setattr(torch, "empty", pinned)
    away = replace(pairs, device=torch.device("meta"))
    for values in (pairs.points, pairs.targets["prefix"], pairs.points):
        fetched = away._fetch(values, rows)
        assert fetched.is_meta
        assert (fetched.shape, fetched.dtype) == ((3, *values.shape[1:]), values.dtype)
        assert torch.equal(staged[-1], values[rows])
    assert len({part.data_ptr() for part in staged}) == 3
