"""Items, augmentation and selection, beside 3DETR's where its files are, and by hand."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cache.scannet_classes import SCANNET
from cache.scans import read_scan, write_scan
from cache.scene_group import Listing, scene_card
from stages.loop.random_numbers import plain_draws
from stages.training.networks.detections import Prediction
from stages.training.tasks.detection import scenes
from stages.training.tasks.detection.scenes import collate, cut, turn
from stages.training.tasks.detection.selection import kept_queries
from tests.conftest import SHARED
from tests.worlds.scans import THIRD, prepare_golden_scans

FULL = SHARED / "golden" / "detr3d"


@pytest.fixture
def full() -> Path:
    if not FULL.is_dir():
        pytest.skip("3DETR's data set items are only in the full golden set")
    return FULL


def read(full: Path, scan: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    folder = full / "scannet_mini"
    points = torch.from_numpy(np.load(folder / f"{scan}_vert.npy"))[:, :3].float()
    boxes = np.load(folder / f"{scan}_bbox.npy")
    labels = torch.tensor(
        [SCANNET.detection.ids.index(int(number)) for number in boxes[:, 6]], dtype=torch.long
    )
    return points, torch.from_numpy(boxes[:, :6]).float(), labels


@pytest.mark.parametrize("run", ["eval", "augment_no_cuboid", "augment_cuboid"])
def test_items_are_the_references(full: Path, run: str) -> None:
    """With the recorded random numbers in place of ours."""
    golden = np.load(full / "scannet_mini_expected.npz")
    about: dict[str, Any] = json.loads((full / "meta.json").read_text())["scannet_mini"][run]
    for scan, calls in zip(about["scans"], about["random_calls"], strict=True):
        points, boxes, labels = read(full, scan)
        if run == "augment_cuboid":
            tries = []
            for kind, value in calls:
                if kind == "rand":
                    tries.append([*value, 0.0])
                elif kind == "choice" and isinstance(value, int):
                    tries[-1][3] = (value + 0.5) / len(points)
            numbers = torch.tensor(tries, dtype=torch.float64)
            points, kept = cut(points, boxes, numbers, about["options"]["random_cuboid_min_points"])
            boxes, labels = boxes[kept], labels[kept]
        points = points[torch.from_numpy(golden[f"{run}/{scan}/choices"]).long()]
        if "augment" in run:
            turns = [value for kind, value in calls if kind == "random"]
            points, boxes = turn(points, boxes, torch.tensor(turns, dtype=torch.float64))
        batch = collate(points[None], [boxes], [labels])
        truth, present = batch.truth, batch.truth.present[0]
        for ours, name, tolerance in (
            (batch.points[0], "point_clouds", 1e-5), (truth.center[0], "gt_box_centers_normalized", 1e-5),
            (truth.label[0], "gt_box_sem_cls_label", 0), (present, "gt_box_present", 0),
            (batch.low[0], "point_cloud_dims_min", 1e-5), (batch.high[0], "point_cloud_dims_max", 1e-5),
        ):  # fmt: skip
            np.testing.assert_allclose(
                ours, golden[f"{run}/{scan}/{name}"], atol=tolerance, err_msg=name
            )
        own = present.numpy()
        for ours, name in (
            (truth.boxes[0, :, :3], "gt_box_centers"), (truth.boxes[0, :, 3:], "gt_box_sizes"),
            (truth.size[0], "gt_box_sizes_normalized"),
        ):  # fmt: skip
            np.testing.assert_allclose(
                ours[own], golden[f"{run}/{scan}/{name}"][own], atol=1e-5, err_msg=name
            )


@pytest.mark.parametrize(
    ("name", "remove_empty"), [("default_exact_eval", True), ("train_time_no_empty_removal", False)]
)
def test_the_same_queries_are_kept(full: Path, name: str, remove_empty: bool) -> None:
    golden = np.load(full / "detections.npz")
    corners = torch.from_numpy(golden["box_corners"])
    # Corners are in camera axes, (x, -z, y).
    world = torch.stack([corners[..., 0], corners[..., 2], -corners[..., 1]], dim=-1)
    low, high = world.amin(dim=2), world.amax(dim=2)
    boxes = torch.cat([(low + high) / 2, high - low], dim=-1)
    found = Prediction(
        boxes, boxes[..., :3], boxes[..., 3:], torch.from_numpy(golden["sem_cls_logits"]),
        boxes[..., :1],
    )  # fmt: skip
    kept = kept_queries(found, torch.from_numpy(golden["point_clouds"]), remove_empty=remove_empty)
    rows = golden[f"det/{name}"]
    for scene in range(len(kept)):
        theirs = sorted({int(row[2]) for row in rows if int(row[0]) == scene})
        assert kept[scene].nonzero()[:, 0].tolist() == theirs


def test_a_quarter_turn_grows_nothing_and_a_small_one_does() -> None:
    boxes = torch.tensor([[1.0, 2, 3, 2, 4, 6]])
    points = torch.tensor([[1.0, 0, 0]])
    turned, grown = turn(points, boxes, torch.tensor([0.1, 0.1, 1.0]))  # +5 degrees
    c, s = math.cos(math.pi / 36), math.sin(math.pi / 36)
    torch.testing.assert_close(turned, torch.tensor([[c, s, 0.0]]))
    torch.testing.assert_close(grown[0, 3:], torch.tensor([2 * c + 4 * s, 2 * s + 4 * c, 6.0]))
    flipped, other = turn(points, boxes, torch.tensor([0.9, 0.9, 0.5]))
    torch.testing.assert_close(flipped, torch.tensor([[-1.0, 0, 0]]))
    torch.testing.assert_close(other, torch.tensor([[-1.0, -2, 3, 2, 4, 6]]))


def test_a_cut_keeps_enough_points_and_a_box() -> None:
    points = torch.rand(2000, 3, generator=torch.Generator().manual_seed(0)) * 4
    boxes = torch.tensor([[1.0, 1, 1, 0.5, 0.5, 0.5], [3, 3, 3, 0.5, 0.5, 0.5]])
    numbers = torch.rand(100, 4, generator=torch.Generator().manual_seed(1))
    kept_points, kept = cut(points, boxes, numbers, 200)
    assert 200 <= len(kept_points) < 2000
    assert kept.any()
    whole, all_kept = cut(points, boxes, numbers, 1999)  # no cuboid leaves so many
    assert len(whole) == 2000
    assert all_kept.all()
    no_boxes, none = cut(points, boxes[:0], numbers, 200)
    assert len(no_boxes) < 2000
    assert len(none) == 0


def test_points_and_boxes_are_not_rounded_by_mixed_precision() -> None:
    points, boxes = torch.rand(40, 3) * 8, torch.rand(3, 6) * 4
    numbers = torch.tensor([0.9, 0.1, 0.3])
    with torch.autocast("cpu", torch.bfloat16):
        mixed = turn(points, boxes, numbers)
    for ours, expected in zip(mixed, turn(points, boxes, numbers), strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, expected)


def test_a_large_scene_is_cut_to_the_same_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_golden_scans(tmp_path)
    asked: list[float] = []

    def watched(
        points: Tensor, boxes: Tensor, numbers: Tensor, least: int
    ) -> tuple[Tensor, Tensor]:
        asked.append(least / len(points))
        return cut(points, boxes, numbers, least)

    monkeypatch.setattr(scenes, "cut", watched)
    cpu = torch.device("cpu")
    loaded = scenes.load_scenes(Listing.read(tmp_path / "scans" / "scannet.zarr"), "train", cpu)
    smallest = int(loaded.count.min())
    monkeypatch.setattr(scenes, "FROZEN_VERTICES", smallest)
    rows = torch.arange(len(loaded))
    draws = plain_draws(0, len(loaded), cpu)
    scenes.draw_batch(loaded, rows, 64, draws, augment=True, min_points=smallest // 2)
    assert asked == pytest.approx([0.5] * len(loaded), abs=0.01)


def test_a_scene_with_more_boxes_than_the_reference_pads_keeps_them_all(tmp_path: Path) -> None:
    """Ninety true boxes are ninety to find, and ninety to learn from."""
    prepare_golden_scans(tmp_path)
    store = tmp_path / "scans" / "scannet.zarr"
    scan = read_scan(store, THIRD)
    card = scene_card(store, THIRD)
    assert card is not None
    boxes = np.tile([0.0, 0, 0, 0.5, 0.5, 0.5, SCANNET.detection.ids[2]], (90, 1))
    boxes[:, 0] = np.arange(90)
    arrays = {"vertices": scan.vertices, "colors": scan.colors, "semantic": scan.semantic,
              "instance": scan.instance, "boxes": boxes}  # fmt: skip
    shutil.rmtree(store / THIRD)
    write_scan(store / THIRD, arrays, card)  # type: ignore[arg-type]
    found = scenes.load_scenes(Listing.read(store), "val", torch.device("cpu"))
    assert found.num_boxes.tolist() == [90]
    batch = scenes.draw_batch(
        found, torch.tensor([0]), 512, plain_draws(0, 1, torch.device("cpu")), augment=False, min_points=1
    )  # fmt: skip
    assert int(batch.truth.present.sum()) == 90
    assert batch.truth.boxes[0, :, 0].tolist() == list(range(90))
