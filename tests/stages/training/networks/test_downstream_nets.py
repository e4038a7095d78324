"""The classifier and the part segmenter, beside the reference where its files are."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.training.augmentation import TRANSLATION
from stages.training.networks.classifier import PointClassifier
from stages.training.networks.part_segmenter import PartSegmenter
from stages.training.networks.scene_segmenter import SceneSegmenter
from stages.training.networks.shapes import (
    ClassifierShape,
    EncoderShape,
    PartSegmenterShape,
    SegmenterShape,
)
from stages.training.tasks.classification.config import ClassificationConfig
from stages.training.tasks.classification.task import accuracies
from stages.training.weights.first_weights import apply_initial, load_initial
from tests.conftest import SHARED, golden_files

FULL = SHARED / "golden"
SMALL = EncoderShape(width=48, depth=3, num_heads=6, num_patches=32, patch_size=16)


def full(name: str) -> Path:
    path = FULL / name
    if not path.exists():
        pytest.skip(f"{name} is only in the full golden set")
    return path


def points_of(name: str) -> torch.Tensor:
    for file in golden_files(name):
        found = np.load(file)
        if "points" in found:
            return torch.from_numpy(found["points"])
    pytest.skip(f"{name} has its points only in the full golden set")


def test_the_official_partial_load() -> None:
    """A pre-training checkpoint into a classifier: its features beside the reference's."""
    (checkpoint,) = golden_files("pointmae_encoder/pretrain_ckpt.pth")
    points = points_of("pointmae_encoder/partial_load.npz")
    (file,) = golden_files("pointmae_encoder/partial_load.npz")
    initial = load_initial(str(checkpoint))
    shape = initial.shape(SMALL)
    assert (shape.width, shape.depth, shape.token_width) == (48, 3, None)
    model = PointClassifier(ClassifierShape(encoder=shape)).eval()
    matched = apply_initial(model, initial)
    assert len(matched.loaded) == 57
    assert {name.split(".")[0] for name in matched.new} == {"cls_token", "cls_pos", "head"}
    with torch.no_grad():
        model.cls_token.fill_(0.25)
        model.cls_pos.fill_(-0.125)
        ours = model.features(points)
    np.testing.assert_allclose(ours, np.load(file)["concat_feature"], atol=3e-5)


def test_a_fine_tuned_official_classifier() -> None:
    golden = np.load(full("pointmae_encoder/cls.npz"))
    initial = load_initial(str(full("pointmae_encoder/finetune_cls_ckpt.pth")))
    model = PointClassifier(ClassifierShape(encoder=initial.shape(SMALL))).eval()
    matched = apply_initial(model, initial)
    assert not matched.new
    assert not matched.dropped
    points = torch.from_numpy(golden["points"])
    with torch.no_grad():
        np.testing.assert_allclose(model.features(points), golden["concat_feature"], atol=3e-5)
        np.testing.assert_allclose(model(points), golden["logits"], atol=3e-5)


def test_votes_are_the_references() -> None:
    """The draws injected: pool, subset, scale and shift as recorded, logits averaged."""
    golden = np.load(full("voting/vote.npz"))
    accuracy = json.loads(full("voting/meta.json").read_text())["vote"]["raw2048"]
    initial = load_initial(str(full("pointmae_encoder/finetune_cls_ckpt.pth")))
    model = PointClassifier(ClassifierShape(encoder=initial.shape(SMALL))).eval()
    apply_initial(model, initial)
    means, labels = [], []
    for batch in ("raw2048/batch0", "raw2048/batch1"):
        raw = torch.from_numpy(golden[f"{batch}/points_raw"])
        chosen = torch.from_numpy(golden[f"{batch}/fps_idx_raw"].astype(np.int64))
        pool = raw.gather(1, chosen[..., None].expand(-1, -1, 3))
        votes = []
        for vote, subset in enumerate(golden[f"{batch}/subset"].astype(np.int64)):
            scale, shift = (
                torch.from_numpy(golden[f"{batch}/{name}"][vote].astype(np.float32))[:, None]
                for name in ("scale", "translate")
            )
            with torch.no_grad():
                votes.append(model(pool[:, subset] * scale + shift))
        np.testing.assert_allclose(torch.stack(votes), golden[f"{batch}/vote_logits"], atol=1e-4)
        means.append(torch.stack(votes).mean(dim=0))
        labels.append(torch.from_numpy(golden[f"{batch}/labels"]))
    found = accuracies(torch.cat(means), torch.cat(labels))["val_accuracy"]
    assert 100 * found == pytest.approx(accuracy["acc_vote_percent"])
    config = ClassificationConfig()
    assert (config.pool, config.num_points, config.votes) == (1200, 1024, 10)
    assert (config.scale, config.translation) == ((2 / 3, 3 / 2), TRANSLATION)


def test_the_official_part_segmenter() -> None:
    golden = np.load(full("partseg/partseg.npz"))
    initial = load_initial(str(full("partseg/best_model.pth")))
    wanted = EncoderShape(num_patches=128, patch_size=32, num_heads=6)
    shape = PartSegmenterShape(encoder=initial.shape(wanted))
    assert shape.taken == (4, 8, 12)
    model = PartSegmenter(shape).eval()
    matched = apply_initial(model, initial)
    assert not matched.new
    assert not matched.dropped
    points = torch.from_numpy(golden["points"])
    with torch.no_grad():
        logits = model(points, torch.from_numpy(golden["cls_label"]).flatten())
    np.testing.assert_allclose(
        logits.transpose(1, 2), golden["raw_logits_before_log_softmax"], atol=1e-4
    )
    np.testing.assert_allclose(logits.log_softmax(dim=-1), golden["log_probs"], atol=5e-5)


def test_the_full_size_part_segmenter_has_the_official_tensors() -> None:
    keys = json.loads(full("partseg/full_size_keys.json").read_text())
    official = next(value for name, value in keys.items() if "get_model(50)" in name)
    ours = PartSegmenter(PartSegmenterShape()).state_dict()
    assert sum(v.numel() for v in ours.values()) == sum(
        int(np.prod(shape)) for shape in official.values()
    )


@pytest.mark.parametrize(
    ("depth", "taken"), [(12, (4, 8, 12)), (6, (2, 4, 6)), (4, (2, 3, 4)), (1, (1,))]
)
def test_thirds_of_the_depth(depth: int, taken: tuple[int, ...]) -> None:
    assert PartSegmenterShape(encoder=EncoderShape(depth=depth)).taken == taken


def test_shapes_of_two_steps_at_the_papers_size() -> None:
    for model, inputs in (
        (PointClassifier(ClassifierShape()), (torch.randn(2, 1024, 3),)),
        (PartSegmenter(PartSegmenterShape()), (torch.randn(2, 2048, 3), torch.tensor([3, 15]))),
        (SceneSegmenter(SegmenterShape()), (torch.rand(1, 8192, 3) * 6,)),
    ):
        optimizer = torch.optim.AdamW(model.parameters())
        for _ in range(2):
            output = model(*inputs)
            output.square().mean().backward()
            optimizer.step()
        assert output.shape in ((2, 40), (2, 2048, 50), (1, 8192, 20))
        missing = [
            name for name, p in model.named_parameters() if p.requires_grad and p.grad is None
        ]
        assert not missing
