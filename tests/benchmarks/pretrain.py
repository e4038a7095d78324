"""A full-size training step beside the straightforward one, and the paper's schedule projected.

- reference: as Point-MAE's code does it: convolutions of width one over expanded features in the
  tokenizer, attention as softmax of a product, float32, each cloud drawn, normalised and augmented
  by NumPy on its own;
- ours: `pretrain`'s own step, in the precision that `auto` takes on this device.

Both are the paper's student (44 million weights) with the same weights; their predictions are
asserted equal. Where a GPU is, utilisation and peak memory are printed, and the time that 250 epochs
of 77,000 frames would take.
"""

import copy
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from stages.geometry.normalise import normalise
from stages.loop.cost import peak_flops
from stages.loop.optim import parameter_groups
from stages.loop.random_numbers import plain_draws
from stages.machine.device import autocast_dtype, choose_device
from stages.training.augment import draw_points, scale_and_translate
from stages.training.augmentation import SCALE, TRANSLATION
from stages.training.networks.concepts import ConceptModule
from stages.training.networks.shapes import StudentShape
from stages.training.networks.student import Student
from stages.training.networks.tokenizer import PatchEmbedding
from stages.training.networks.transformer import Attention
from stages.training.pretraining.objectives.distillation import distillation_loss

STORED, DRAWN = 16384, 4096
FRAMES, EPOCHS = 77_000, 250
ROUNDS = 3


class ReferenceEmbedding(nn.Module):
    """The mini-PointNet over (B G, 3, K), its global feature expanded and concatenated."""

    def __init__(self, ours: PatchEmbedding) -> None:
        super().__init__()

        def convolution(linear: nn.Linear) -> nn.Conv1d:
            made = nn.Conv1d(linear.in_features, linear.out_features, 1)
            made.weight.data.copy_(linear.weight.data[..., None])
            made.bias.data.copy_(linear.bias.data)  # type: ignore[union-attr]
            return made

        self.first = nn.Sequential(
            convolution(ours.local1), copy.deepcopy(ours.norm1), nn.ReLU(inplace=True), convolution(ours.local2)
        )  # fmt: skip
        self.second = nn.Sequential(
            convolution(ours.joint1), copy.deepcopy(ours.norm2), nn.ReLU(inplace=True), convolution(ours.joint2)
        )  # fmt: skip

    def forward(self, neighborhoods: Tensor) -> Tensor:
        batch, groups, size, _ = neighborhoods.shape
        feature = self.first(neighborhoods.reshape(batch * groups, size, 3).transpose(2, 1))
        common = feature.max(dim=2, keepdim=True)[0]
        feature = torch.cat([common.expand(-1, -1, size), feature], dim=1)
        return self.second(feature).max(dim=2)[0].reshape(batch, groups, -1)


def plain_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Softmax of a product, (B, H, T, C) each."""
    weights = (query @ key.transpose(-2, -1)) * query.shape[-1] ** -0.5
    return weights.softmax(dim=-1) @ value


class ReferenceAttention(nn.Module):
    """Unfused self-attention with the weights of ours."""

    def __init__(self, ours: Attention) -> None:
        super().__init__()
        self.qkv, self.proj, self.num_heads = ours.qkv, ours.proj, ours.num_heads

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        )
        return self.proj(plain_attention(query, key, value).transpose(1, 2).flatten(2))


class ReferenceConcepts(ConceptModule):
    """Unfused cross-attention."""

    def _attend(self, concepts: Tensor, feature: Tensor) -> Tensor:
        query = self.to_queries(self.norm_queries(concepts)).unflatten(-1, (self.num_heads, -1))
        pair = self.to_keys_values(self.norm_features(feature))
        key, value = pair.unflatten(-1, (2, self.num_heads, -1)).unbind(2)
        mixed = plain_attention(*(item.transpose(1, 2) for item in (query, key, value)))
        return self.proj(mixed.transpose(1, 2).flatten(2))


def reference_of(student: Student) -> Student:
    """The same student, the straightforward way."""
    made = copy.deepcopy(student)
    made.encoder.embedding = ReferenceEmbedding(made.encoder.embedding)  # type: ignore[assignment]
    for block in made.encoder.transformer.blocks:
        block.attn = ReferenceAttention(block.attn)
    made.concepts.__class__ = ReferenceConcepts
    return made


def reference_clouds(
    stored: np.ndarray, generator: np.random.Generator, device: torch.device
) -> Tensor:
    """Draw, normalise, scale and shift cloud by cloud."""
    clouds = []
    for points in stored:
        cloud = points[generator.permutation(len(points))[:DRAWN]].astype(np.float32) / 1000
        cloud = cloud - cloud.mean(axis=0)
        cloud = cloud / np.max(np.sqrt(np.sum(cloud**2, axis=1)))
        scale, shift = generator.uniform(2 / 3, 3 / 2, 3), generator.uniform(-0.2, 0.2, 3)
        clouds.append(torch.from_numpy((cloud * scale + shift).astype(np.float32)))
    return torch.stack(clouds).to(device)


def our_clouds(stored: Tensor, seed: int) -> Tensor:
    """Draw, normalise, scale and shift all at once, on the device."""
    draws = plain_draws(seed, len(stored), stored.device)
    points = draw_points(stored.float() * 1e-3, DRAWN, draws)
    return scale_and_translate(
        normalise(points, "unit_sphere"), draws, scale=SCALE, translation=TRANSLATION
    )


def seconds_a_step(step: Callable[[], None], device: torch.device, repeats: int) -> float:
    """The mean time of a step, after one to warm up."""
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


def stepper(
    student: Student, clouds: Callable[[], Tensor], target: Tensor, dtype: torch.dtype | None
) -> Callable[[], None]:
    """A whole training step of a student."""
    student.train()
    fused = target.is_cuda
    optimizer = torch.optim.AdamW(
        parameter_groups(student.named_parameters()), lr=1e-3, fused=fused
    )

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(target.device.type, dtype, enabled=dtype is not None):
            loss = distillation_loss(student(clouds())[0], target, "mse")
        loss.backward()
        optimizer.step()

    return step


def main() -> None:
    """Print the table."""
    device = choose_device("auto")
    is_gpu = device.type == "cuda"
    batch, repeats = (128, 20) if is_gpu else (16, 2)
    dtype = autocast_dtype(device, "auto")
    torch.manual_seed(0)
    student = Student(StudentShape()).to(device)
    reference = reference_of(student).to(device)
    stored = torch.randint(-3000, 3000, (batch, STORED, 3), dtype=torch.int16, device=device)
    target = torch.randn(batch, 10, 768, device=device)
    host, generator = stored.cpu().numpy(), np.random.default_rng(0)
    with torch.no_grad():
        points = our_clouds(stored, 0)[:4]
        ours, theirs = student.eval()(points)[0], reference.eval()(points)[0]
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)
    steps = {
        "reference": stepper(
            reference, lambda: reference_clouds(host, generator, device), target, None
        ),
        "ours": stepper(student, lambda: our_clouds(stored, 1), target, dtype),
    }  # fmt: skip
    print(
        f"full-size student, batch {batch}, {device}, {torch.get_num_threads()} threads, "
        f"{torch.backends.cpu.get_cpu_capability()}; ours in {dtype or torch.float32}"
    )
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            times[name].append(seconds_a_step(step, device, repeats))
    rates = {name: batch / statistics.median(values) for name, values in times.items()}
    ratio = statistics.median(r / o for r, o in zip(times["reference"], times["ours"], strict=True))
    print(
        f"  ours {rates['ours']:.1f} samples/s   reference {rates['reference']:.1f}   ours / reference {ratio:.2f} x"
    )
    hours = FRAMES * EPOCHS / rates["ours"] / 3600
    print(
        f"  the paper's schedule, {EPOCHS} epochs of {FRAMES:,} frames: {hours:,.1f} h at this rate"
    )
    if is_gpu:
        _print_gpu(steps["ours"], student, our_clouds(stored, 1), rates["ours"], device)


def _print_gpu(
    step: Callable[[], None], student: Student, points: Tensor, rate: float, device: torch.device
) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        student(points)[0].sum().backward()
    flops = counter.get_total_flops() / len(points)
    torch.cuda.reset_peak_memory_stats()
    step()
    peak = peak_flops(device)
    share = f"{rate * flops / peak:.1%} of the peak" if peak else "of an unknown peak"
    print(
        f"  {flops / 1e9:.1f} GFLOP a sample, {share}; "
        f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB of memory at most"
    )
