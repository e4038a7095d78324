"""The detector, beside 3DETR's where its checkpoint is, and at the paper's size."""

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.training.networks.detector import Detector, FourierPosition
from stages.training.networks.shapes import DetectorShape, DetrEncoderShape, EncoderShape
from stages.training.weights.detr_layout import from_detr, is_detr
from stages.training.weights.first_weights import apply_initial, load_initial
from tests.conftest import SHARED, golden_files

FULL = SHARED / "golden" / "detr3d"
SMALL = DetectorShape(
    kind="3detr", own=DetrEncoderShape(num_tokens=64, width=32, layers=2, heads=4, hidden=24),
    width=48, layers=3, heads=4, hidden=56, num_queries=16,
)  # fmt: skip


def full(name: str) -> Path:
    if not (FULL / name).exists():
        pytest.skip(f"{name} is only in the full golden set")
    return FULL / name


def test_the_official_model() -> None:
    golden = np.load(full("model.npz"))
    state = torch.load(full("checkpoint.pth"), weights_only=True)["model"]
    model = Detector(SMALL).eval()
    assert is_detr(state)
    tensors, dropped = from_detr(state)
    assert all("angle_cls" in name for name in dropped)
    model.load_state_dict(tensors)

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
    assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]


def test_an_official_checkpoint_is_a_first_weight() -> None:
    initial = load_initial(str(full("checkpoint.pth")))
    model = Detector(SMALL)
    matched = apply_initial(model, initial)
    assert not matched.new
    assert all("angle_cls" in name for name in matched.dropped)
    # A student's encoder has none of it.
    with pytest.raises(ValueError, match=r"none of its \d+ tensors fits this encoder"):
        apply_initial(Detector(SMALL.model_copy(update={"kind": "student"})), initial)


def test_a_checkpoint_as_3detr_writes_it_can_be_read(tmp_path: Path) -> None:
    """With its options and its best measures, which are numpy's numbers."""
    state = {
        "pos_embedding.gauss_B": torch.zeros(3, 24),
        "mlp_heads.sem_cls_head.layers.8.bias": torch.zeros(19),
        "mlp_heads.angle_cls_head.layers.8.bias": torch.zeros(1),
    }
    extra = {
        "args": Namespace(model="3detr"), "epoch": 3,
        "best_val_metrics": {0.25: {"mAP": np.float32(0.6)}, 0.5: {"AR": np.float64(0.4)}},
    }  # fmt: skip
    torch.save({"model": state, **extra}, tmp_path / "best.pth")
    initial = load_initial(str(tmp_path / "best.pth"))
    assert set(initial.tensors) == {"position.frequencies", "heads.logits.last.bias"}
    assert len(initial.dropped) == 1
    state["encoder.interim_downsampling.mlp_module.layer0.bn.bn.weight"] = torch.zeros(1)
    torch.save({"model": state}, tmp_path / "masked.pth")
    with pytest.raises(ValueError, match="3DETR-m"):
        load_initial(str(tmp_path / "masked.pth"))


def test_positions_are_not_rounded_by_mixed_precision() -> None:
    module = FourierPosition(32)
    points = torch.rand(2, 50, 3) * 8
    low, high = torch.zeros(2, 3), torch.full((2, 3), 8.0)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = module(points, low, high)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, module(points, low, high))
