"""The segmentation head and its rivals, beside the reference numbers."""

import numpy as np
import pytest
import torch

from stages.geometry.cloud_input import Normalisation
from stages.geometry.normalise import normalise
from stages.geometry.pointops import nearest_neighbors
from stages.training.networks.detector import Detector
from stages.training.networks.rivals import build_rival
from stages.training.networks.rivals.dgcnn import DgcnnScenes
from stages.training.networks.scene_segmenter import SceneSegmenter, UpsamplingHead
from stages.training.networks.shapes import DetectorShape, EncoderShape, RivalShape, SegmenterShape
from tests.conftest import golden_files

HEAD = np.load(golden_files("dgcnn_seg/proposed_head.npz")[0])
DGCNN = np.load(golden_files("dgcnn_seg/dgcnn_semseg_scannet.npz")[0])
SMALL = EncoderShape(
    width=24, depth=2, num_heads=2, patch_hidden=8, num_patches=12, patch_size=8, drop_path=0.0
)


def test_the_head_is_the_proposed_one() -> None:
    head = UpsamplingHead(48, (64, 32), 20, 0.5).eval()
    ours = {"conv1": "block1.linear", "bn1": "block1.norm", "conv2": "block2.linear",
            "bn2": "block2.norm", "classifier": "classify"}  # fmt: skip
    state = {}
    for key in HEAD:
        if key.startswith("state/"):
            part, name = key.removeprefix("state/").split(".")
            value = torch.from_numpy(HEAD[key])
            state[f"{ours[part]}.{name}"] = value.squeeze(-1) if value.ndim == 3 else value
    head.load_state_dict(state)
    points, center, features = (
        torch.from_numpy(HEAD[name]) for name in ("points", "center", "center_features")
    )
    _, nearest = nearest_neighbors(points, center, 3)
    np.testing.assert_array_equal(nearest.numpy(), HEAD["idx"])
    logits = head(points, center, features)
    expected = torch.from_numpy(HEAD["logits_leaky"]).transpose(1, 2)
    torch.testing.assert_close(logits, expected, atol=2e-5, rtol=1e-5)


def test_dgcnn_is_the_public_one() -> None:
    network = DgcnnScenes(20, 6, channels=9, widths=(96, 64, 32)).eval()
    prefix = next(key for key in DGCNN if key.endswith("conv1.0.weight")).split("conv1")[0]
    places = {f"conv{2 * n + m + 1}": f"edges.{n}.layers.{m}" for n in range(3) for m in range(2)}
    del places["conv6"]  # the third edge convolution has one layer
    places |= {"conv6": "embed", "conv7": "head.0", "conv8": "head.1"}
    state = {"head.3.weight": torch.from_numpy(DGCNN[f"{prefix}conv9.weight"])[..., 0]}
    for theirs, ours in places.items():
        weight = torch.from_numpy(DGCNN[f"{prefix}{theirs}.0.weight"])
        state[f"{ours}.linear.weight"] = weight.flatten(2)[..., 0]
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            state[f"{ours}.norm.{name}"] = torch.from_numpy(DGCNN[f"{prefix}{theirs}.1.{name}"])
    network.load_state_dict(state)
    logits = network.logits(torch.from_numpy(DGCNN["x"]).transpose(1, 2))
    torch.testing.assert_close(logits, torch.from_numpy(DGCNN["out"]), atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["dgcnn", "pointnet2"])
def test_rivals_give_logits_for_each_point(kind: str) -> None:
    shape = RivalShape.model_validate({"kind": kind, "task": "segmentation", "num_outputs": 20})
    model = build_rival(shape)
    points = torch.rand(2, 1100, 3) * torch.tensor([5.0, 4.0, 2.5])
    model(points).sum().backward()
    assert model.eval()(points).shape == (2, 1100, 20)
    unused = [
        name
        for name, value in model.named_parameters()
        if value.requires_grad and value.grad is None
    ]
    assert unused == []


def test_a_scene_is_the_same_wherever_it_stands_and_each_weight_learns() -> None:
    torch.manual_seed(0)
    model = SceneSegmenter(SegmenterShape(encoder=SMALL, widths=(16, 8)))
    points = torch.rand(2, 200, 3) * 4
    model(points).square().mean().backward()
    unused = [
        name
        for name, value in model.named_parameters()
        if value.requires_grad and value.grad is None
    ]
    assert unused == []
    model.eval()
    moved = points + torch.tensor([7.0, -3.0, 1.0])
    torch.testing.assert_close(model(moved), model(points), atol=2e-3, rtol=1e-3)


def test_no_such_rival_is_named() -> None:
    shape = RivalShape(kind="pointnet", task="segmentation", num_outputs=20)
    with pytest.raises(ValueError, match="no pointnet for segmentation"):
        build_rival(shape)


@pytest.mark.parametrize("how", ["unit_sphere", "center", "metric"])
def test_an_encoder_is_shown_what_its_setting_says(how: Normalisation) -> None:
    """The same words mean the same in segmentation and in detection."""
    points = torch.rand(2, 64, 3) * 3 + 1
    small = EncoderShape(width=12, depth=1, num_heads=2, num_patches=8, patch_size=4)
    segmenter = SceneSegmenter(SegmenterShape(encoder=small, norm_input=how, widths=(8, 8)))
    detector = Detector(
        DetectorShape(encoder=small, norm_input=how, width=8, layers=1, num_queries=2)
    )
    shown: list[torch.Tensor] = []
    for model in (segmenter, detector):
        model.encoder.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0]))
    segmenter(points)
    detector(points, points.amin(dim=1), points.amax(dim=1))
    for seen in shown:
        assert torch.equal(seen, normalise(points, how))
    assert torch.equal(shown[0], points) == (how == "metric")
