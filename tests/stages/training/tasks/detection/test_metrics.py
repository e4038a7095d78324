"""Boxes and average precision, beside the references and by hand."""

import json

import numpy as np
import pytest
import torch

from stages.training.tasks.detection.boxes import (
    pairwise_giou,
    pairwise_iou,
    points_inside,
    suppress,
)
from stages.training.tasks.detection.metrics import Boxes, average_precision
from tests.conftest import golden_files

THRESHOLDS = (0.25, 0.5)


def load(name: str) -> "np.lib.npyio.NpzFile":
    return np.load(golden_files(f"detection_eval/{name}")[0])


def golden_boxes(golden: "np.lib.npyio.NpzFile") -> tuple[Boxes, Boxes]:
    def tensor(name: str) -> torch.Tensor:
        return torch.from_numpy(golden[name])

    detected = Boxes(
        tensor("det_box"),
        tensor("det_scene").long(),
        tensor("det_class").long(),
        tensor("det_score"),
    )
    return detected, Boxes(tensor("gt_box"), tensor("gt_scene").long(), tensor("gt_class").long())


@pytest.mark.parametrize("name", ["main", "ties", "micro"])
def test_average_precision_is_3detrs_with_a_stable_order(name: str) -> None:
    golden = load(f"{name}.npz")
    about = json.loads(golden_files(f"detection_eval/{name}.json")[0].read_text())
    found = average_precision(*golden_boxes(golden), THRESHOLDS)
    for threshold, precision in zip(THRESHOLDS, found, strict=True):
        stable = f"detr_stable_{threshold}_ap"
        expected = golden[stable] if stable in golden else golden[f"detr_{threshold}_ap"]
        there = golden[f"detr_{threshold}_class_in_result"]
        assert sorted(precision.ap) == np.flatnonzero(there).tolist()
        for number, value in precision.ap.items():
            assert value == pytest.approx(expected[number], abs=1e-9)
        if about["scores_unique"]:
            wanted = about[f"detr_APCalculator_{threshold}"]
            assert precision.mean_ap == pytest.approx(wanted["mAP"], abs=1e-6)
            assert precision.mean_recall == pytest.approx(wanted["AR"], abs=1e-6)


def test_truth_as_prediction_is_perfect() -> None:
    _, true = golden_boxes(load("main.npz"))
    detected = Boxes(true.box, true.scene, true.label, torch.ones(len(true.box)))
    for precision in average_precision(detected, true, THRESHOLDS):
        assert precision.mean_ap == 1.0
        assert precision.mean_recall == 1.0


def test_nothing_detected_and_nothing_there() -> None:
    none = Boxes(torch.zeros(0, 6), torch.zeros(0).long(), torch.zeros(0).long(), torch.zeros(0))
    assert average_precision(none, none, (0.5,))[0].mean_ap == 0.0
    _, true = golden_boxes(load("main.npz"))
    assert average_precision(none, true, (0.5,))[0].mean_ap == 0.0
    one = Boxes(
        torch.tensor([[0.0, 0, 0, 1, 1, 1]]), torch.tensor([0]), torch.tensor([3]), torch.ones(1)
    )
    assert average_precision(one, none, (0.5,))[0].ap == {3: 0.0}  # detected, but not there: 0


def test_ious_are_the_true_ones() -> None:
    golden = load("iou_giou.npz")
    first, second = (torch.from_numpy(golden[f"pair_axis/box_{n}"]) for n in "ab")
    ours = pairwise_iou(first[:, None], second[:, None])[:, 0, 0]
    np.testing.assert_allclose(ours, golden["pair_axis/iou3d"], atol=1e-6)
    # Boxes that share edges, where the reference is wrong or raises.
    first, second = (torch.from_numpy(golden[f"coincident_axis/box_{n}"]) for n in "ab")
    ours = pairwise_iou(first[:, None], second[:, None])[:, 0, 0]
    aligned = np.abs(golden["coincident_axis/angle"]) < 1e-9
    assert aligned.any()
    np.testing.assert_allclose(
        ours[aligned], golden["coincident_axis/true_iou"][aligned], atol=1e-6
    )
    wrong = (
        np.abs(golden["coincident_axis/reference_iou"] - golden["coincident_axis/true_iou"]) > 1e-3
    )
    assert wrong.sum() > 10


def test_gious_are_the_references() -> None:
    golden = load("iou_giou.npz")
    first, second = (torch.from_numpy(golden[f"batch_axis/box{n}"]).float() for n in (1, 2))
    ours = pairwise_giou(first, second)
    expected = golden["batch_axis/giou_rotflag0"]
    for scene, count in enumerate(golden["nums_k2"]):
        np.testing.assert_allclose(ours[scene, :, :count], expected[scene, :, :count], atol=2e-5)


def test_giou_by_hand() -> None:
    unit = torch.tensor([[0.0, 0, 0, 1, 1, 1]])
    away = torch.tensor([[3.0, 0, 0, 1, 1, 1]])  # a hull of 4, of which 2 are empty
    assert pairwise_giou(unit, away).item() == pytest.approx(-0.5)
    assert pairwise_giou(unit, unit).item() == pytest.approx(1.0)
    flat = torch.tensor([[0.0, 0, 0, 0, 0, 0]], requires_grad=True)
    value = pairwise_giou(flat, unit).sum()
    value.backward()
    assert torch.isfinite(value)


def test_suppression_and_counting() -> None:
    boxes = torch.tensor(
        [[0.0, 0, 0, 1, 1, 1], [0.1, 0, 0, 1, 1, 1], [0.1, 0, 0, 1, 1, 1], [5, 0, 0, 1, 1, 1]]
    )
    kept = suppress(boxes, torch.tensor([0.5, 0.9, 0.8, 0.1]), torch.tensor([0, 0, 1, 0]), 0.25)
    assert kept.tolist() == [False, True, True, True]
    points = torch.tensor([[0.0, 0, 0], [0.4, 0.4, 0.4], [0.7, 0, 0], [9, 9, 9]])
    assert points_inside(boxes, points).tolist() == [2, 2, 2, 0]
