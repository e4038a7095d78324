"""Part scores, beside the official evaluation and by hand."""

import json

import numpy as np
import pytest
import torch

from stages.sources.shapenetpart import CATEGORIES
from stages.training.tasks.parts.scores import part_scores, restrict, shape_ious
from tests.conftest import golden_files

PARTS = tuple(category.parts for category in CATEGORIES.values())
NAMES = tuple(CATEGORIES)


def test_scores_are_the_official_ones() -> None:
    (miou,) = golden_files("partseg/miou.json")
    expected = json.loads(miou.read_text())["results"]
    sets = 0
    for file in golden_files("partseg/miou.npz"):
        golden = np.load(file)
        for name in {key.split("/")[0] for key in golden}:
            logits, target, category = (
                torch.from_numpy(golden[f"{name}/{key}"])
                for key in ("logits", "target", "cls_label")
            )
            target, category = target.long(), category.long()
            predicted = restrict(logits, category, PARTS)
            np.testing.assert_array_equal(predicted, golden[f"{name}/pred_restricted"])
            ious = shape_ious(predicted, target, category, PARTS)
            np.testing.assert_allclose(ious, golden[f"{name}/shape_iou"], atol=1e-6)
            found = part_scores(logits, target, category, PARTS, NAMES)
            wanted = expected[name]
            assert found["instance_miou"] == pytest.approx(wanted["instance_avg_iou"], abs=1e-6)
            assert found["accuracy"] == pytest.approx(wanted["accuracy"], abs=1e-6)
            of_classes = wanted["class_avg_iou"] or wanted["mean_over_present_categories_only"]
            assert found["class_miou"] == pytest.approx(of_classes, abs=1e-6)
            sets += 1
    assert sets


def test_an_absent_part_that_is_not_predicted_counts_one() -> None:
    target = torch.tensor([[36, 36, 36, 36]])  # a mug without a handle
    mug = torch.tensor([11])
    assert shape_ious(target, target, mug, PARTS).tolist() == [1.0]
    predicted = torch.tensor([[36, 36, 36, 37]])
    assert shape_ious(predicted, target, mug, PARTS).tolist() == [(0.75 + 0) / 2]
