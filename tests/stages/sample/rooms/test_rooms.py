"""Furniture and rooms: plausible sizes, nothing in walls or in one another, every class somewhere."""

import inspect

import numpy as np
import pytest

from stages.sample.rendering.camera_path import walk
from stages.sample.rooms.placing import Room
from stages.sample.rooms.rooms import ROOM_TYPES, make_room
from stages.sample.things import fittings, fixtures, seats, storage, tables
from stages.sample.things.labels import LABELS
from stages.sample.things.pieces import FINISHES, Builder, Piece

DETECTION_CLASSES = {3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39}
SHELL = ("wall", "floor", "ceiling")


def builders() -> list[Builder]:
    """All functions that take a generator alone and give a piece."""
    found = []
    for module in (fittings, fixtures, seats, storage, tables):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            parameters = list(inspect.signature(function).parameters)
            if function.__module__ == module.__name__ and parameters == ["rng"] and name[0] != "_":
                found.append(function)
    return found


@pytest.mark.parametrize("build", builders(), ids=lambda build: build.__name__)
def test_a_piece_is_whole_and_of_a_sensible_size(build: Builder) -> None:
    seen = set()
    for seed in range(12):
        piece: Piece = build(np.random.default_rng(seed))
        low, high = piece.bounds
        assert piece.label in LABELS
        assert np.isfinite(piece.mesh.vertices).all()
        assert 0.05 < piece.size.max() < 3.3
        assert np.abs(low + high)[:2].max() < 1.1  # about the middle of its own frame
        assert all(part.finish in FINISHES for part in piece.parts)
        assert all(0 <= channel <= 1 for part in piece.parts for channel in part.color)
        if piece.top_m is not None:
            assert low[2] < piece.top_m <= high[2] + 1e-9
        seen.add(tuple(np.round(piece.size, 3)))
    assert len(seen) > 5  # sizes vary


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Volume that two boxes (2, 3) share."""
    return float(
        np.clip(np.minimum(first[1], second[1]) - np.maximum(first[0], second[0]), 0, None).prod()
    )


@pytest.fixture(scope="module")
def rooms() -> list[Room]:
    return [
        make_room(kind, np.random.default_rng([k, seed]))
        for k, kind in enumerate(ROOM_TYPES)
        for seed in range(8)
    ]


def test_everything_is_inside_its_room(rooms: list[Room]) -> None:
    for room in rooms:
        for placed in room.objects:
            if placed.label not in SHELL:
                low, high = placed.bounds
                assert (low > -0.02).all(), (room.kind, placed.label, low)
                assert (high < room.size + 0.02).all(), (room.kind, placed.label)


def test_large_furniture_does_not_stand_in_itself(rooms: list[Room]) -> None:
    large = {"bed", "couch", "wardrobe closet", "bookshelf", "refrigerator", "bathtub", "cabinet",
             "desk", "toilet", "door", "counter", "tv stand"}  # fmt: skip
    for room in rooms:
        things = [placed for placed in room.objects if placed.label in large]
        for number, one in enumerate(things):
            for other in things[number + 1 :]:
                assert overlap(one.bounds, other.bounds) < 1e-3, (one.label, other.label)


def test_all_detection_and_segmentation_classes_occur(rooms: list[Room]) -> None:
    present = {LABELS[placed.label].nyu40 for room in rooms for placed in room.objects}
    assert present >= DETECTION_CLASSES | {1, 2}


def test_geometry_alone_does_not_give_the_room_away(rooms: list[Room]) -> None:
    """The same things stand in several kinds of rooms."""
    kinds: dict[str, set[str]] = {}
    for room in rooms:
        for placed in room.objects:
            kinds.setdefault(placed.label, set()).add(room.kind)
    shared = [label for label, of in kinds.items() if len(of) >= 2 and label not in SHELL]
    assert len(shared) >= 12


def test_a_seed_gives_the_same_room() -> None:
    first, second = (make_room("office", np.random.default_rng(5)) for _ in range(2))
    for one, other in zip(first.objects, second.objects, strict=True):
        assert one.label == other.label
        np.testing.assert_array_equal(one.pose, other.pose)


def test_the_camera_stays_inside_and_upright(rooms: list[Room]) -> None:
    for room in rooms:
        poses = walk(room, 60, np.random.default_rng(0))
        rotations, eyes = poses[:, :3, :3], poses[:, :3, 3]
        np.testing.assert_allclose(
            rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (60, 1, 1)), atol=1e-9
        )
        assert (np.linalg.det(rotations) > 0).all()
        assert (eyes > 0.2).all()
        assert (eyes < room.size - 0.2).all()
        assert (rotations[:, 2, 1] < 0).all()  # the image's downward axis points down
        steps = np.linalg.norm(np.diff(eyes, axis=0), axis=1)
        assert steps.max() < 0.5
