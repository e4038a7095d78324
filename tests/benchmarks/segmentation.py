"""The segmentation head at the paper's size, and the votes over a whole scan.

- concatenate: the text as it stands, three neighbours' features of every point side by side (B, N, 1152)
  through the first convolution;
- project first: this project's, each patch meets the weights once, the products are gathered and added.

Outputs are asserted equal. The votes' rate stands beside that of the bare network on the same clouds.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from stages.geometry.pointops import gather_points, nearest_neighbors
from stages.machine.device import choose_device
from stages.training.networks.scene_segmenter import SLOPE, SceneSegmenter, UpsamplingHead
from stages.training.networks.shapes import NEIGHBORS, EncoderShape, SegmenterShape
from stages.training.tasks.votes import vote_over_points

POINTS, PATCHES, WIDTH, CLASSES, ROUNDS = 8192, 256, 384, 20, 3
BATCH = 2
SCAN = 8 * POINTS


def concatenated(head: UpsamplingHead, points: Tensor, centers: Tensor, features: Tensor) -> Tensor:
    """The head as the text has it."""
    _, nearest = nearest_neighbors(points, centers, NEIGHBORS)
    x = gather_points(features, nearest).flatten(2)
    x = F.linear(x, head.block1.linear.weight).flatten(0, 1)
    x = F.leaky_relu(head.block1.norm(x), SLOPE).unflatten(0, points.shape[:2])
    return head.classify(head.dropout(head.block2(x)))


def seconds(work: Callable[[], object]) -> float:
    """The median of some rounds, after one to warm up."""
    times = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def heads(device: torch.device) -> None:
    """Forward and backward, both ways."""
    torch.manual_seed(0)
    head = UpsamplingHead(WIDTH, (512, 256), CLASSES, 0.0).to(device).train()
    points, centers = (torch.rand(BATCH, n, 3, device=device) for n in (POINTS, PATCHES))
    features = torch.randn(BATCH, PATCHES, WIDTH, device=device, requires_grad=True)
    ways: dict[str, Callable[[], Tensor]] = {
        "project first": lambda: head(points, centers, features),
        "concatenate": lambda: concatenated(head, points, centers, features),
    }
    ours, theirs = (way() for way in ways.values())
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)
    times = {name: seconds(lambda way=way: way().sum().backward()) for name, way in ways.items()}  # type: ignore[misc]
    print(f"head of {BATCH} x {POINTS} points, {device}, {torch.get_num_threads()} threads: "
          + "   ".join(f"{name} {value:.3f} s" for name, value in times.items())
          + f"   concatenate / project first {times['concatenate'] / times['project first']:.1f} x")  # fmt: skip


def votes(device: torch.device) -> None:
    """A small network, so that what is not the network shows."""
    shape = EncoderShape(width=96, depth=4, num_patches=PATCHES, patch_size=32)
    model = SceneSegmenter(SegmenterShape(encoder=shape)).to(device).eval()
    vertices = torch.rand(SCAN, 3, device=device) * 6
    clouds = vertices.view(-1, POINTS, 3)

    @torch.no_grad()
    def bare() -> None:
        for part in clouds.split(8):
            model(part)

    whole = seconds(lambda: vote_over_points(model, vertices, POINTS, 1, CLASSES, 0))
    alone = seconds(bare)
    print(f"a round of votes over {SCAN} vertices {whole:.2f} s, the bare network {alone:.2f} s: "
          f"{alone / whole:.2f} of its rate")  # fmt: skip


def main() -> None:
    """Print both."""
    device = choose_device("auto")
    heads(device)
    votes(device)
