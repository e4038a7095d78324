"""The encoder: features of official Point-MAE checkpoints, and its switches."""

import json

import numpy as np
import pytest
import torch

from stages.training.networks.encoder import PointEncoder
from stages.training.networks.shapes import EncoderShape
from stages.training.networks.tokenizer import Patches
from stages.training.weights.pointmae_layout import from_pointmae, to_pointmae
from tests.conftest import REPOSITORY

GOLDEN = REPOSITORY / "tests" / "golden" / "pointmae_encoder"
SMALL = EncoderShape(width=48, depth=3, num_patches=32, patch_size=16)
FEATURES = np.load(GOLDEN / "features.npz")


@pytest.fixture(scope="module")
def official() -> dict[str, torch.Tensor]:
    checkpoint = torch.load(GOLDEN / "pretrain_ckpt.pth", weights_only=True)
    return dict(checkpoint["base_model"])


@pytest.fixture
def encoder(official: dict[str, torch.Tensor]) -> PointEncoder:
    encoder = PointEncoder(SMALL).eval()
    encoder.load_state_dict(from_pointmae(official).encoder)
    return encoder


def patches() -> Patches:
    center, neighborhood = (torch.from_numpy(FEATURES[key]) for key in ("center", "neighborhood"))
    none = torch.zeros(neighborhood.shape[:3], dtype=torch.long)
    return Patches(center, neighborhood, none, none[..., 0])


@torch.inference_mode()
def test_features_are_the_references(encoder: PointEncoder) -> None:
    tokens = encoder.embedding(patches().neighborhoods)
    np.testing.assert_allclose(tokens, FEATURES["tokens"], atol=1e-6)
    position = encoder.transformer.pos_embed(patches().centers)
    np.testing.assert_allclose(position, FEATURES["pos"], atol=1e-5)
    outputs = encoder.encode(patches())
    np.testing.assert_allclose(torch.stack(outputs[:-1]), FEATURES["block_outputs"][:-1], atol=3e-5)
    np.testing.assert_allclose(outputs[-1], FEATURES["x_vis"], atol=3e-5)


@torch.inference_mode()
def test_from_points_to_features(encoder: PointEncoder) -> None:
    """Grouping included; patches of the reference, whatever the order of ties."""
    features, found = encoder(torch.from_numpy(FEATURES["points"]))
    np.testing.assert_array_equal(found.centers, FEATURES["center"])
    np.testing.assert_allclose(features[-1], FEATURES["x_vis"], atol=3e-5)


def test_batch_statistics_are_the_references(encoder: PointEncoder) -> None:
    """In train mode, over all points of all patches; the running ones too, after the first ten."""
    embedding = encoder.embedding.train()
    for norm in (embedding.norm1, embedding.norm2):
        norm.num_batches_tracked.fill_(10)
    with torch.no_grad():
        tokens = embedding(patches().neighborhoods)
    np.testing.assert_allclose(tokens, FEATURES["tokens_train_mode"], atol=1e-6)
    for ours, theirs in (("norm1", "first_conv.1"), ("norm2", "second_conv.1")):
        for name in ("running_mean", "running_var"):
            expected = FEATURES[f"bn_after_train/{theirs}.{name}"]
            np.testing.assert_allclose(getattr(getattr(embedding, ours), name), expected, atol=1e-6)


def test_layouts_go_both_ways(official: dict[str, torch.Tensor]) -> None:
    mapped = from_pointmae(official)
    assert {key.split(".")[1] for key in mapped.dropped} == {
        "mask_token", "decoder_pos_embed", "MAE_decoder", "increase_dim",
    }  # fmt: skip
    back = to_pointmae(mapped.encoder)
    assert set(back) == {k.removeprefix("module.") for k in official if "MAE_encoder" in k}
    for key, value in back.items():
        assert torch.equal(value, official[f"module.{key}"])
    # A run on several GPUs saves without `module.`, a fine-tuned model without `MAE_encoder.`.
    bare = {k.removeprefix("module.").removeprefix("MAE_encoder."): v for k, v in official.items()}
    assert set(from_pointmae(bare).encoder) == set(mapped.encoder)
    with pytest.raises(ValueError, match="no Point-MAE encoder in it"):
        from_pointmae({"cls_token": torch.zeros(1)})


def test_the_full_size_has_the_official_tensors() -> None:
    text = (GOLDEN / "full_size_keys.json").read_text()
    ours = to_pointmae(PointEncoder(EncoderShape()).state_dict())
    assert all(key in text for key in ours)
    facts = json.loads(text)
    (shapes,) = [
        entry
        for entry in _dicts(facts)
        if any(k.endswith("MAE_encoder.norm.weight") for k in entry)
    ][:1]
    for key, shape in shapes.items():
        if "MAE_encoder" in key:
            found = tuple(shape["shape"] if isinstance(shape, dict) else shape)
            assert tuple(ours[key.removeprefix("module.")].shape) == found


def _dicts(value: object) -> list[dict]:
    if not isinstance(value, dict):
        return []
    return [value, *(found for child in value.values() for found in _dicts(child))]


def test_switches_change_what_they_say() -> None:
    torch.manual_seed(0)
    points = torch.randn(2, 128, 3)
    shape = {"width": 48, "depth": 2, "num_patches": 8, "patch_size": 8, "drop_path": 0.5}
    encoders = [
        PointEncoder(EncoderShape(**shape, **change)).eval()
        for change in ({}, {"position": "output"}, {"norm": "post"})
    ]
    for encoder in encoders[1:]:
        encoder.load_state_dict(encoders[0].state_dict())
    with torch.no_grad():
        results = [encoder(points)[0][-1] for encoder in encoders]
        assert all(result.shape == (2, 8, 48) for result in results)
        assert not torch.allclose(results[0], results[1])
        assert not torch.allclose(results[0], results[2])
        # Drop-path acts in training only, and never in the first block.
        first = encoders[0].train()
        assert not torch.allclose(first(points)[0][-1], first(points)[0][-1])
        assert first.transformer.blocks[0].drop_path == 0


def test_every_weight_gets_a_gradient() -> None:
    encoder = PointEncoder(SMALL)
    features, _ = encoder(torch.randn(2, 256, 3))
    sum(feature.square().sum() for feature in features).backward()
    trained = [p for p in encoder.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in trained)


def test_first_weights_are_those_of_point_mae() -> None:
    """Its pre-training initialises the convolutions of patches like all linear layers."""
    encoder = PointEncoder(EncoderShape())
    for name, module in encoder.named_modules():
        if isinstance(module, torch.nn.Linear):
            assert 0.015 < module.weight.std() < 0.025, name
            assert module.weight.abs().max() < 2, name
            assert module.bias is None or not module.bias.any(), name


def test_mixed_precision_rounds_no_coordinates() -> None:
    """In bfloat16 4.000 and 4.007 m are one; the first layers tell them apart."""
    encoder = PointEncoder(EncoderShape(width=12, depth=1, num_heads=2)).eval()
    layers = encoder.embedding.local1, encoder.transformer.pos_embed[0]
    points = torch.tensor([[4.0, 0, 0], [4.007, 0, 0]])
    with torch.autocast("cpu", torch.bfloat16):
        for layer in layers:
            out = layer(points)
            assert out.dtype == torch.float32
            assert not torch.equal(out[0], out[1])
