"""`training.compile`: a compiled network is the eager one, for every task."""

import copy
import shutil

import pytest
import torch
from torch import Tensor, nn

from stages.training.networks import part_segmenter
from stages.training.networks.tokenizer import make_patches
from tests.stages.training.networks.test_norms import NETWORKS, POINTS

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None, reason="torch.compile needs g++ on a CPU"
)


class Sampling(nn.Module):
    def forward(self, points: Tensor) -> Tensor:
        patches = make_patches(points * 2, 8, 4)
        return patches.neighborhoods.sum(dim=2) + patches.centers


@pytest.fixture(autouse=True)
def fresh() -> None:
    torch.compiler.reset()


@needs_compiler
@pytest.mark.filterwarnings("ignore")  # of the compiler's, none of ours
def test_compiled_sampling_chooses_the_same_points() -> None:
    eager = Sampling()
    compiled = copy.deepcopy(eager)
    compiled.compile()
    assert torch.equal(compiled(POINTS), eager(POINTS))


@needs_compiler
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    [
        "student",
        "pooled student",
        "patch student",
        "masked autoencoder",
        "joint student",
        "maskpoint",
        "classifier",
        "part segmenter",
        "scene segmenter",
        "detector",
        "3detr",
    ],
)
def test_a_compiled_network_is_the_eager_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs, gradients and norms of a training step, and outputs of an evaluation."""
    make, call = NETWORKS[name]
    monkeypatch.setattr(part_segmenter, "DROPOUT", 0.0)
    torch.manual_seed(0)
    eager = make()
    for module in eager.modules():  # their draws differ from one to the other
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    compiled = copy.deepcopy(eager)
    compiled.compile()
    outputs = []
    for model in (eager, compiled):
        model.train()
        output = call(model)
        output.square().mean().backward()
        model.eval()
        with torch.no_grad():
            outputs.append((output.detach(), call(model)))
    for one, other in zip(*outputs, strict=True):
        torch.testing.assert_close(other, one, atol=2e-4, rtol=1e-3)
    weights = zip(eager.named_parameters(), compiled.parameters(), strict=True)
    for (key, one), other in weights:
        assert (one.grad is None) == (other.grad is None), key
        if one.grad is not None:
            # Rounding may choose another one of two nearly equal maxima, which moves a gradient a little.
            assert (other.grad - one.grad).norm() <= 0.05 * one.grad.norm() + 1e-5, key
    for (key, one), (_, other) in zip(eager.named_buffers(), compiled.named_buffers(), strict=True):
        torch.testing.assert_close(other, one, atol=1e-4, rtol=1e-3, msg=key)
