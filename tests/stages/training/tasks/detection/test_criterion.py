"""Matching, losses and their gradients, beside 3DETR's."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.training.networks.detections import Raw, predict
from stages.training.tasks.detection.config import CriterionConfig
from stages.training.tasks.detection.criterion import Truth, match, total_loss
from tests.conftest import golden_files

FILE = golden_files("detr3d/criterion.npz")
META = golden_files("detr3d/meta.json")
CASES = (
    "default", "more_gt_than_queries", "no_gt_at_all", "argparse_defaults_no_giou_loss",
    "center_and_objectness_costs",
)  # fmt: skip
LEAVES = {
    "offset": "center_offset", "size": "size_normalized", "logits": "sem_cls_logits",
    "angle": "angle_residual_normalized",
}  # fmt: skip


def files() -> tuple["np.lib.npyio.NpzFile", dict[str, dict[str, object]]]:
    return np.load(FILE[0]), json.loads(Path(META[0]).read_text())["criterion"]


def config_of(arguments: dict[str, float]) -> CriterionConfig:
    return CriterionConfig(
        cost_class=arguments["matcher_cls_cost"],
        cost_objectness=arguments["matcher_objectness_cost"],
        cost_center=arguments["matcher_center_cost"],
        cost_giou=arguments["matcher_giou_cost"],
        weight_class=arguments["loss_sem_cls_weight"],
        weight_center=arguments["loss_center_weight"],
        weight_size=arguments["loss_size_weight"],
        weight_angle=arguments["loss_angle_reg_weight"],
        weight_giou=arguments["loss_giou_weight"],
        no_object=arguments["loss_no_object_weight"],
    )


def inputs(golden: "np.lib.npyio.NpzFile", case: str) -> tuple[Raw, Truth]:
    def tensor(name: str) -> torch.Tensor:
        return torch.from_numpy(golden[f"{case}/{name}"])

    leaves = {name: tensor(f"raw/{theirs}").requires_grad_() for name, theirs in LEAVES.items()}
    raw = Raw(
        query=tensor("raw/query_xyz"), low=tensor("target/point_cloud_dims_min"),
        high=tensor("target/point_cloud_dims_max"), **leaves,
    )  # fmt: skip
    boxes = torch.cat([tensor("target/gt_box_centers"), tensor("target/gt_box_sizes")], dim=-1)
    truth = Truth(
        boxes, tensor("target/gt_box_centers_normalized"), tensor("target/gt_box_sizes_normalized"),
        tensor("target/gt_box_sem_cls_label"), tensor("target/gt_box_present").bool(),
    )  # fmt: skip
    return raw, truth


@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradients_are_the_references(case: str) -> None:
    golden, meta = files()
    raw, truth = inputs(golden, case)
    about = meta[case]
    config = config_of(about["args"])  # type: ignore[arg-type]
    for layer, found in enumerate(raw.layers()):
        index, matched = match(found, truth, config)
        expected = golden[f"{case}/proposal_matched_mask"][layer].astype(bool)
        np.testing.assert_array_equal(matched, expected)
        theirs = golden[f"{case}/per_prop_gt_inds"][layer]
        np.testing.assert_array_equal(index[matched], theirs[expected])
    total, terms = total_loss(raw, truth, config)
    assert total.item() == pytest.approx(about["loss"], rel=2e-5)
    losses: dict[str, float] = about["loss_dict"]  # type: ignore[assignment]
    names = {
        "class": "loss_sem_cls", "center": "loss_center", "size": "loss_size",
        "angle": "loss_angle_reg", "giou": "loss_giou",
    }  # fmt: skip
    for ours, name in names.items():
        assert terms[ours].item() == pytest.approx(losses.get(name, 0.0), abs=2e-5), name
    total.backward()
    for ours, name in LEAVES.items():
        gradient = getattr(raw, ours).grad
        if f"{case}/grad/{name}" in golden:
            np.testing.assert_allclose(gradient, golden[f"{case}/grad/{name}"], atol=1e-4)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("leaf", ["offset", "size", "logits"])
@pytest.mark.parametrize("case", ["default", "no_gt_at_all"])
def test_what_is_not_finite_is_matched_and_its_loss_is_not_finite(
    case: str, leaf: str, value: float
) -> None:
    raw, truth = inputs(files()[0], case)
    getattr(raw, leaf).data[:] = value
    total, _ = total_loss(raw, truth, CriterionConfig())
    assert not torch.isfinite(total)


def test_boxes_are_the_references() -> None:
    golden = np.load(golden_files("detr3d/boxes.npz")[0])

    def tensor(name: str) -> torch.Tensor:
        return torch.from_numpy(golden[name])

    found = predict(
        tensor("query_xyz"), tensor("range_min"), tensor("range_max"), tensor("center_offset"),
        tensor("size_normalized"), tensor("sem_cls_logits"), tensor("angle_residual"),
    )  # fmt: skip
    for ours, name in (
        (found.boxes[..., :3], "center_unnormalized"), (found.boxes[..., 3:], "size_unnormalized"),
        (found.center, "center_normalized"), (found.class_probability, "sem_cls_prob"),
        (found.objectness, "objectness_prob"),
    ):  # fmt: skip
        np.testing.assert_allclose(ours, golden[name], atol=2e-6, err_msg=name)
