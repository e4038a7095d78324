"""The detector, beside 3DETR's where its checkpoint is, and at the paper's size."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stages.training.networks.detector import (
    Detector,
    DetectorShape,
    DetrEncoderShape,
    FourierPosition,
)
from stages.training.networks.encoder import EncoderShape
from tests.conftest import SHARED, golden_files

FULL = SHARED / "golden" / "detr3d"
SMALL = DetectorShape(
    kind="3detr", own=DetrEncoderShape(num_tokens=64, width=32, layers=2, heads=4, hidden=24),
    width=48, layers=3, heads=4, hidden=56, num_queries=16,
)  # fmt: skip
RENAMED = (
    ("pre_encoder.mlp_module.layer", "encoder.gather.layers."), (".bn.bn.", ".norm."),
    (".conv.weight", ".linear.weight"), ("decoder.norm.", "norm."), ("decoder.layers.", "layers."),
    ("multihead_attn", "cross_attn"), ("pos_embedding.gauss_B", "position.frequencies"),
    ("query_projection.layers.", "query."),
    ("mlp_heads.sem_cls_head", "heads.logits"), ("mlp_heads.center_head", "heads.offset"),
    ("mlp_heads.size_head", "heads.size"), ("mlp_heads.angle_residual_head", "heads.angle"),
)  # fmt: skip


def ours_of(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """3DETR's tensors by our names; its angle classes, one only for ScanNet, have no place."""
    found = {}
    for key, value in state.items():
        name = key
        if "angle_cls_head" in name:
            continue
        if name.startswith("encoder.layers."):
            name = name.replace("encoder.layers.", "encoder.layers.layers.", 1)
        for theirs, ours in RENAMED:
            name = (
                name.replace(theirs, ours)
                if not (ours == "layers." and "encoder" in name)
                else name
            )
        for kind, step in (("encoder_to_decoder_projection.layers", 3), ("heads", 4)):
            name = _place(name, kind, step)
        found[name] = value.flatten(1) if value.ndim > 2 else value
    return found


def _place(name: str, kind: str, step: int) -> str:
    """Layers in a flat sequence of (linear, norm, activation, ...) by their place in it."""
    if kind == "heads" and name.startswith("heads."):
        head, _, rest = name.removeprefix("heads.").partition(".layers.")
        number, _, what = rest.partition(".")
        layer, part = divmod(int(number), step)
        target = "last" if layer == 2 else f"hidden.{layer}.{'norm' if part else 'linear'}"
        return f"heads.{head}.{target}.{what}"
    if name.startswith(kind):
        number, _, what = name.removeprefix(f"{kind}.").partition(".")
        layer, part = divmod(int(number), step)
        return f"project.{layer}.{'norm' if part else 'linear'}.{what}"
    return name


def full(name: str) -> Path:
    if not (FULL / name).exists():
        pytest.skip(f"{name} is only in the full golden set")
    return FULL / name


def test_the_official_model() -> None:
    golden = np.load(full("model.npz"))
    state = torch.load(full("checkpoint.pth"), weights_only=True)["model"]
    model = Detector(SMALL).eval()
    model.load_state_dict(ours_of(state))

    def tensor(name: str) -> torch.Tensor:
        return torch.from_numpy(golden[name])

    low, high = tensor("point_cloud_dims_min"), tensor("point_cloud_dims_max")
    with torch.no_grad():
        places, features = model.encoder(tensor("point_clouds"))
        np.testing.assert_allclose(places, golden["pre_enc_xyz"])
        np.testing.assert_allclose(features.transpose(0, 1), golden["enc_features"], atol=5e-5)
        raw = model.decode(tensor("pre_enc_xyz"), tensor("enc_features").transpose(0, 1), low, high)
    np.testing.assert_allclose(raw.query, golden["query_xyz"])
    for layer, found in enumerate(raw.layers()):
        for ours, name in (
            (found.logits, "sem_cls_logits"), (found.center, "center_normalized"),
            (found.boxes[..., :3], "center_unnormalized"), (found.boxes[..., 3:], "size_unnormalized"),
            (found.size, "size_normalized"), (found.angle, "angle_residual_normalized"),
            (found.objectness, "objectness_prob"), (found.class_probability, "sem_cls_prob"),
        ):  # fmt: skip
            np.testing.assert_allclose(
                ours, golden[f"layers/{name}"][layer], atol=5e-5, err_msg=name
            )


def test_fourier_positions_are_the_references() -> None:
    golden = np.load(golden_files("detr3d/fourier.npz")[0])
    module = FourierPosition(32)
    module.frequencies.copy_(torch.from_numpy(golden["gauss_B"]))
    ours = module(*(torch.from_numpy(golden[n]) for n in ("xyz", "range_min", "range_max")))
    np.testing.assert_allclose(ours.transpose(1, 2), golden["fourier"], atol=2e-5)
    assert "frequencies" in module.state_dict()


@pytest.mark.parametrize("kind", ["student", "3detr"])
def test_every_weight_learns(kind: str) -> None:
    shape = DetectorShape(
        kind=kind, encoder=EncoderShape(width=24, depth=2, num_heads=2, patch_hidden=8, num_patches=32, patch_size=8),
        own=DetrEncoderShape(num_tokens=32, width=16, layers=1), width=32, layers=2, hidden=16, num_queries=8,
    )  # type: ignore[arg-type]  # fmt: skip
    model = Detector(shape)
    points = torch.rand(2, 200, 3) * 3
    raw = model(points, points.amin(dim=1), points.amax(dim=1))
    assert raw.logits.shape == (2, 2, 8, 19)
    assert raw.offset.abs().max() <= 0.5
    (raw.logits.sum() + raw.offset.sum() + raw.size.sum() + raw.angle.sum()).backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]
