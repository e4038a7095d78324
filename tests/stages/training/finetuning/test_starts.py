"""Where fine-tuning starts: others' checkpoints, frozen layers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cache.checkpoint import WEIGHTS, read_arrays
from stages.training.networks.classifier import PointClassifier
from stages.training.networks.shapes import ClassifierShape, EncoderShape
from stages.training.tasks.downstream import frozen_modules, layer_of, rate_of
from stages.training.weights.build import load_model
from stages.training.weights.first_weights import apply_initial, load_initial
from stages.training.weights.pointmae_layout import to_pointmae
from tests.worlds.objects import invoke, prepare_boxes


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("objects")
    prepare_boxes(root)
    return root


def test_starting_points(world: Path, tmp_path: Path) -> None:
    """From a run of ours, from an official layout, and from what has nothing to give."""
    source = world / "finetune" / "classification" / "a"
    if not source.exists():
        invoke(world, "finetune", "classification", "--init", "scratch", "--device", "cpu")
    common = ["--device", "cpu", "--set", "parts.training.epochs=1"]
    said = invoke(world, "finetune", "parts", "--init", str(source / "seed0"), *common,
                  "--set", "parts.name=from_ours")  # fmt: skip
    assert "encoder.embedding (18)" in said
    assert "dropped" in said
    encoder = {
        name.removeprefix("encoder."): torch.from_numpy(value)
        for name, value in read_arrays(source / "seed0" / "last", WEIGHTS).items()
        if name.startswith("encoder.")
    }
    official = {f"module.{name}": value for name, value in to_pointmae(encoder).items()}
    torch.save({"base_model": official, "epoch": 3}, tmp_path / "pointmae.pth")
    invoke(world, "finetune", "parts", "--init", str(tmp_path / "pointmae.pth"), *common,
           "--set", "parts.name=from_theirs")  # fmt: skip
    torch.save({"base_model": {"something.weight": torch.zeros(2)}}, tmp_path / "other.pth")
    for init, message in (
        (str(tmp_path / "other.pth"), "no Point-MAE encoder in it"),
        (str(tmp_path / "none"), "no such file or folder"),
    ):
        with pytest.raises(ValueError, match=message):
            invoke(world, "finetune", "parts", "--init", init, *common)


def test_point_bert_and_maskpoint_layouts(tmp_path: Path) -> None:
    """Momentum pre-training, a narrower embedding brought to width, a class token of its own."""
    torch.manual_seed(0)
    shape = EncoderShape(width=64, depth=2, num_heads=1, patch_hidden=16, token_width=32)
    model = PointClassifier(ClassifierShape(encoder=shape))
    state = {
        name.replace("MAE_encoder.", "module.transformer_q."): value
        for name, value in to_pointmae(model.encoder.state_dict()).items()
    }
    assert "module.transformer_q.reduce_dim.weight" in state
    state |= {
        "module.transformer_q.cls_token": model.cls_token[None, None].detach(),
        "module.transformer_q.cls_pos": model.cls_pos[None, None].detach(),
        "module.transformer_q.lm_head.weight": torch.zeros(3, 3),
        "module.transformer_k.norm.weight": torch.ones(64),
        "module.queue": torch.zeros(4),
    }
    torch.save({"base_model": state}, tmp_path / "Point-BERT.pth")
    initial = load_initial(str(tmp_path / "Point-BERT.pth"))
    wanted = initial.shape(EncoderShape(num_patches=8, patch_size=8))
    assert (wanted.width, wanted.depth, wanted.num_heads, wanted.token_width) == (64, 2, 1, 32)
    fresh = PointClassifier(ClassifierShape(encoder=wanted))
    matched = apply_initial(fresh, initial)
    assert all(name.startswith("head.") for name in matched.new)
    assert "module.transformer_k.norm.weight" in matched.dropped
    assert torch.equal(fresh.cls_pos, model.cls_pos)
    for name, value in model.encoder.state_dict().items():
        assert torch.equal(fresh.encoder.state_dict()[name], value), name


def test_a_checkpoint_that_does_not_fit_is_an_error() -> None:
    initial = load_initial("scratch")
    model = PointClassifier(ClassifierShape(encoder=EncoderShape(width=24, depth=1, num_heads=2)))
    assert not apply_initial(model, initial).loaded
    wrong = type(initial)("x.pth", {"encoder.transformer.norm.weight": torch.ones(7)})
    with pytest.raises(ValueError, match="none of its 1 tensors fits this encoder"):
        apply_initial(model, wrong)


def test_frozen_layers_do_not_move(world: Path) -> None:
    invoke(
        world, "finetune", "classification", "--init", "scratch", "--device", "cpu",
        "--set", "classification.name=frozen", "--set", "classification.frozen_layers=2",
        "--set", "classification.layer_decay=0.5", "--set", "classification.training.epochs=2",
    )  # fmt: skip
    last = read_arrays(world / "finetune/classification/frozen/seed0/last", WEIGHTS)
    shape = load_model(world / "finetune/classification/frozen/seed0/last").shape  # type: ignore[union-attr]
    torch.manual_seed(0)
    first = PointClassifier(shape).state_dict()  # type: ignore[arg-type]
    for name, value in first.items():
        is_frozen = name.startswith(
            ("encoder.embedding", "encoder.transformer.pos_embed", "encoder.transformer.blocks.0.")
        )
        same = np.array_equal(value.numpy(), last[name])
        if is_frozen:
            assert same, name
        elif name.endswith("weight"):
            assert not same, name


def test_layers_by_name() -> None:
    depth = 3
    names = {
        "cls_token": 0, "encoder.embedding.local1.weight": 0, "encoder.transformer.pos_embed.0.bias": 0,
        "encoder.transformer.blocks.0.norm1.weight": 1, "encoder.transformer.blocks.2.mlp.fc1.bias": 3,
        "encoder.transformer.norm.weight": 4, "head.0.weight": 5,
    }  # fmt: skip
    for name, layer in names.items():
        assert layer_of(name, depth) == layer
        assert rate_of(0.5, depth)(name) == 0.5 ** (5 - layer)
        assert rate_of(1.0, depth)(name) == 1.0
    assert frozen_modules(0, depth) == ()
    assert "encoder.transformer.norm" in frozen_modules(4, depth)
    with pytest.raises(ValueError, match="frozen_layers: 5 of the 4"):
        frozen_modules(5, depth)
