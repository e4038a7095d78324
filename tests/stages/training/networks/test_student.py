"""The concept module, the heads and the whole student, at hand-checked and at true size."""

import pytest
import torch

from stages.training.networks.concepts import ConceptModule, FlattenHead, MixerHead
from stages.training.networks.shapes import EncoderShape, StudentShape
from stages.training.networks.student import Student

SMALL = EncoderShape(width=48, depth=3, num_patches=16, patch_size=8)


def plain_attention(
    module: ConceptModule, concepts: torch.Tensor, feature: torch.Tensor
) -> torch.Tensor:
    """The same cross-attention written out, one head after the other."""
    width = concepts.shape[-1] // module.num_heads
    query = module.to_queries(module.norm_queries(concepts))
    key, value = module.to_keys_values(module.norm_features(feature)).chunk(2, dim=-1)
    heads = []
    for head in range(module.num_heads):
        part = slice(head * width, (head + 1) * width)
        weights = query[..., part] @ key[..., part].transpose(1, 2) / width**0.5
        heads.append(weights.softmax(-1) @ value[..., part])
    return module.proj(torch.cat(heads, dim=-1))


@torch.no_grad()
def test_concepts_gather_from_every_block_in_order() -> None:
    torch.manual_seed(0)
    module = ConceptModule(48, 6, 5)
    for p in module.parameters():
        p.add_(0.1 * torch.randn_like(p))
    features = [torch.randn(2, 7, 48) for _ in range(3)]
    x = module.queries.expand(2, -1, -1)
    for feature in features:
        x = x + plain_attention(module, x, feature)
        x = x + module.mlp(module.norm_mlp(x))
    torch.testing.assert_close(module(features), module.norm(x), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(module(features), module(features[::-1]))
    # Attention forgets the order of patches: nothing tells the concepts where they are.
    shuffled = [feature[:, torch.randperm(7)] for feature in features]
    torch.testing.assert_close(module(shuffled), module(features), atol=1e-5, rtol=1e-5)


def test_the_paper_size() -> None:
    student = Student(StudentShape(encoder=EncoderShape()))
    count = {
        name: sum(p.numel() for p in part.parameters()) for name, part in student.named_children()
    }
    assert count == {"encoder": 21_825_024, "concepts": 1_787_136, "head": 20_455_936}
    assert isinstance(student.head, FlattenHead)
    assert student.concepts.queries.shape == (32, 384)
    assert 0.015 < student.concepts.queries.std() < 0.025
    student.eval()
    with torch.no_grad():
        prediction, patches, features = student(torch.randn(2, 4096, 3))
    assert (prediction.shape, features.shape) == ((2, 10, 768), (2, 64, 384))
    assert (patches.centers.shape, patches.neighborhoods.shape) == ((2, 64, 3), (2, 64, 32, 3))


@pytest.mark.parametrize("head", ["flatten", "mixer"])
def test_every_weight_that_is_exported_is_trained(head: str) -> None:
    student = Student(StudentShape(encoder=SMALL, target=(3, 20), num_concepts=4, head=head))
    prediction = student(torch.randn(3, 128, 3)).prediction
    assert prediction.shape == (3, 3, 20)
    (prediction - 1).square().mean().backward()
    without = {n for n, p in student.named_parameters() if p.grad is None or not p.grad.abs().sum()}
    # What a batch norm takes away again has nothing to learn.
    assert without == {f"encoder.embedding.{n}.bias" for n in ("local1", "local2", "joint1")}


def test_the_mixer_is_small() -> None:
    mixer, flatten = MixerHead(32, 384, (10, 768)), FlattenHead(32 * 384, 1024, (10, 768))
    sizes = [sum(p.numel() for p in head.parameters()) for head in (mixer, flatten)]
    assert sizes[0] < sizes[1] / 20
