"""The masked autoencoder: the reference's loss, what it rebuilds, and gradients, by the same mask."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.geometry.chamfer import chamfer_loss
from stages.training.networks.masked import MaskedAutoencoder, Rebuilt, split_patches
from stages.training.networks.shapes import EncoderShape, MaskedShape
from stages.training.networks.tokenizer import Patches
from stages.training.weights.pointmae_layout import from_pointmae
from tests.conftest import golden_files

(GOLDEN,) = golden_files("pointmae_pretrain/pretrain.npz")
FOLDER = Path(__file__).parents[3] / "golden"
META = json.loads((FOLDER / "pointmae_pretrain" / "meta.json").read_text())
DECODER = {
    "mask_token": "decoder.mask_token", "decoder_pos_embed.": "decoder.position.",
    "MAE_decoder.blocks.": "decoder.blocks.", "MAE_decoder.norm.": "decoder.norm.",
    "increase_dim.0.": "decoder.to_points.",
}  # fmt: skip
THEIRS = {  # of the gradients that are kept whole
    "mask_token": "decoder.mask_token",
    "MAE_encoder.encoder.first_conv.0.weight": "encoder.embedding.local1.weight",
    "MAE_encoder.encoder.first_conv.1.weight": "encoder.embedding.norm1.weight",
    "MAE_encoder.pos_embed.0.weight": "encoder.transformer.pos_embed.0.weight",
    "MAE_encoder.blocks.blocks.0.attn.qkv.weight": "encoder.transformer.blocks.0.attn.qkv.weight",
    "decoder_pos_embed.2.weight": "decoder.position.2.weight",
    "MAE_decoder.blocks.0.mlp.fc1.bias": "decoder.blocks.0.mlp.fc1.bias",
    "increase_dim.0.weight": "decoder.to_points.weight",
}


def reference() -> MaskedAutoencoder:
    """The network with the weights of the official checkpoint."""
    shape = EncoderShape(width=48, depth=3, num_heads=6, num_patches=32, patch_size=16, drop_path=0)
    model = MaskedAutoencoder(MaskedShape(encoder=shape, mask_ratio=0.6, decoder_depth=2))
    found = torch.load(FOLDER / "pointmae_encoder" / "pretrain_ckpt.pth", weights_only=True)
    state = {name.replace("module.", ""): v for name, v in found["base_model"].items()}
    ours = {f"encoder.{name}": value for name, value in from_pointmae(state).encoder.items()}
    for name, value in state.items():
        for theirs, own in DECODER.items():
            if name.startswith(theirs):
                shaped = value.flatten() if name == "mask_token" else value
                ours[own + name.removeprefix(theirs)] = (
                    shaped.squeeze(-1) if value.ndim == 3 and name != "mask_token" else shaped
                )
    wanted = set(model.state_dict())
    assert wanted - set(ours) <= {n for n in wanted if n.endswith("num_batches_tracked")}
    model.load_state_dict(ours, strict=False)
    return model


def run(model: MaskedAutoencoder) -> tuple[Rebuilt, dict[str, np.ndarray]]:
    golden = np.load(GOLDEN)
    center, neighborhood = (torch.from_numpy(golden[name]) for name in ("center", "neighborhood"))
    none = torch.zeros(neighborhood.shape[:3], dtype=torch.long)
    patches = Patches(center, neighborhood, none, none[..., 0])
    return model.rebuild(patches, torch.from_numpy(golden["mask"])), golden


@torch.no_grad()
def test_it_rebuilds_what_the_reference_does() -> None:
    output, golden = run(reference().eval())
    assert output.rebuilt.shape[1] == META["num_masked"]
    np.testing.assert_allclose(output.features, golden["eval_x_vis"], atol=3e-5)
    np.testing.assert_allclose(
        output.rebuilt.flatten(0, 1), golden["eval_rebuild_points"], atol=3e-5
    )
    np.testing.assert_array_equal(output.true.flatten(0, 1), golden["gt_points"])
    for kind, name in (("l2", "eval_cdl2"), ("l1", "eval_cdl1")):
        loss = chamfer_loss(output.rebuilt.flatten(0, 1), output.true.flatten(0, 1), kind)
        assert loss.item() == pytest.approx(META["losses"][name], rel=1e-5)


def test_it_learns_as_the_reference_does() -> None:
    model = reference().train()
    output, golden = run(model)
    loss = chamfer_loss(output.rebuilt.flatten(0, 1), output.true.flatten(0, 1))
    assert loss.item() == pytest.approx(META["losses"]["train_cdl2"], rel=1e-5)
    loss.backward()
    own = dict(model.named_parameters())
    for theirs, ours in THEIRS.items():
        expected = golden[f"train_grad/{theirs}"]
        found = own[ours].grad.numpy().reshape(expected.shape)
        assert np.linalg.norm(found - expected) <= 1e-4 * np.linalg.norm(expected), theirs
    norms = {ours: META["train_grad_l2_norm"][theirs] for theirs, ours in THEIRS.items()}
    for name, norm in norms.items():
        assert own[name].grad.norm().item() == pytest.approx(norm, rel=1e-4)


def test_patches_keep_their_order() -> None:
    mask = torch.tensor([[True, False, True, False, False], [False, True, False, False, True]])
    seen, masked = split_patches(mask, 2)
    assert seen.tolist() == [[1, 3, 4], [0, 2, 3]]
    assert masked.tolist() == [[0, 2], [1, 4]]


def test_a_mask_that_hides_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="some must be masked and some be seen"):
        MaskedShape(encoder=EncoderShape(num_patches=8), mask_ratio=0.1)
