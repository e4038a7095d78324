"""Average precision of a whole validation set, and a training step of the detector at the paper's size.

- python: VoteNet's protocol as its evaluation has it, a loop over detections and true boxes; written
  anew here after `golden/detection_eval`, its results asserted equal;
- vectorised: this project's.

The step is of 40,000 points and 2048 tokens, with attention fused, and with the attention matrix of
every layer made; each in a process of its own, so that its peak memory is its own.
"""

import multiprocessing
import resource
import time
from collections import defaultdict

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.attention import SDPBackend, sdpa_kernel

from stages.loop.optim import parameter_groups
from stages.machine.device import autocast_dtype, choose_device
from stages.training.networks.detector import Detector
from stages.training.networks.shapes import DetectorShape
from stages.training.tasks.detection.config import CriterionConfig
from stages.training.tasks.detection.criterion import Truth, total_loss
from stages.training.tasks.detection.metrics import Boxes, average_precision

SCENES, TRUE, KEPT, CLASSES = 300, 14, 100, 18
THRESHOLDS = (0.25, 0.5)
POINTS, STEPS = 40_000, 2


def synthetic() -> tuple[Boxes, Boxes]:
    """Scenes of boxes, and detections near them, each scored for all classes as 3DETR does."""
    generator = torch.Generator().manual_seed(0)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.double)

    count = SCENES * TRUE
    true = torch.cat([uniform(count, 3) * 6, 0.3 + uniform(count, 3) * 1.5], dim=1)
    scene = torch.arange(SCENES).repeat_interleave(TRUE)
    label = torch.randint(CLASSES, (count,), generator=generator)
    near = (
        torch.randint(TRUE, (SCENES, KEPT), generator=generator)
        + torch.arange(SCENES)[:, None] * TRUE
    )
    box = true[near.flatten()] + 0.6 * (uniform(SCENES * KEPT, 6) - 0.5)
    box[:, 3:].clamp_(min=0.05)
    detected = Boxes(
        box.repeat_interleave(CLASSES, dim=0),
        torch.arange(SCENES).repeat_interleave(KEPT * CLASSES),
        torch.arange(CLASSES).repeat(SCENES * KEPT),
        uniform(SCENES * KEPT * CLASSES),
    )
    return detected, Boxes(true, scene, label)


def plain_iou(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Of two boxes: centre and size."""
    low = np.maximum(first[:3] - first[3:] / 2, second[:3] - second[3:] / 2)
    high = np.minimum(first[:3] + first[3:] / 2, second[:3] + second[3:] / 2)
    if (high <= low).any():
        return 0.0
    overlap = float(np.prod(high - low))
    return overlap / (float(np.prod(first[3:])) + float(np.prod(second[3:])) - overlap)


def python_average_precision(detected: Boxes, true: Boxes, threshold: float) -> dict[int, float]:
    """The protocol, box by box."""
    assert detected.score is not None
    boxes_of: dict[tuple[int, int], list[NDArray[np.float64]]] = defaultdict(list)
    totals: dict[int, int] = defaultdict(int)
    for box, scene, label in zip(
        true.box.numpy(), true.scene.tolist(), true.label.tolist(), strict=True
    ):
        boxes_of[label, scene].append(box)
        totals[label] += 1
    found: dict[int, list[int]] = defaultdict(list)
    for row, label in enumerate(detected.label.tolist()):
        found[label].append(row)
    score, box, scenes = detected.score.numpy(), detected.box.numpy(), detected.scene.tolist()
    result = {}
    for label, rows in found.items():
        taken: set[tuple[int, int]] = set()
        hits = np.zeros(len(rows))
        own = np.array(rows)
        for place, row in enumerate(own[np.argsort(-score[own], kind="stable")].tolist()):
            best, best_iou = -1, -np.inf
            for number, other in enumerate(boxes_of[label, scenes[row]]):
                iou = plain_iou(box[row], other)
                if iou > best_iou:
                    best, best_iou = number, iou
            if best_iou > threshold and (scenes[row], best) not in taken:
                taken.add((scenes[row], best))
                hits[place] = 1
        reached = np.cumsum(hits)
        recall, precision = reached / totals[label], reached / np.arange(1, len(rows) + 1)
        recall = np.concatenate([[0.0], recall, [1.0]])
        precision = np.concatenate([[0.0], precision, [0.0]])
        for place in range(len(precision) - 1, 0, -1):
            precision[place - 1] = max(precision[place - 1], precision[place])
        steps = np.flatnonzero(recall[1:] != recall[:-1])
        result[label] = float(((recall[steps + 1] - recall[steps]) * precision[steps + 1]).sum())
    return result


def evaluation() -> None:
    """Both ways over the same scenes."""
    detected, true = synthetic()
    start = time.perf_counter()
    ours = average_precision(detected, true, THRESHOLDS)
    vectorised = time.perf_counter() - start
    start = time.perf_counter()
    theirs = [python_average_precision(detected, true, threshold) for threshold in THRESHOLDS]
    python = time.perf_counter() - start
    for one, other in zip(ours, theirs, strict=True):
        assert one.ap.keys() == other.keys()
        assert max(abs(one.ap[label] - other[label]) for label in other) < 1e-9
    print(f"AP of {SCENES} scenes, {len(detected.box)} scored boxes, equal: vectorised "
          f"{vectorised:.2f} s   python {python:.1f} s   python / vectorised {python / vectorised:.0f} x")  # fmt: skip


def _truth(batch: int, device: torch.device) -> Truth:
    boxes = torch.rand(batch, 64, 6, device=device) + 0.2
    present = (torch.arange(64, device=device) < 15).expand(batch, -1)
    label = torch.zeros(batch, 64, dtype=torch.long, device=device)
    return Truth(boxes, boxes[..., :3] / 8, boxes[..., 3:] / 8, label, present)


def _step(
    fused: bool, kind: str, batch: int, results: "multiprocessing.Queue[tuple[float, float]]"
) -> None:
    """Train a few steps; put the seconds of one and the peak memory in GiB."""
    device = choose_device("auto")
    torch.manual_seed(0)
    model = Detector(DetectorShape.model_validate({"kind": kind})).to(device).train()
    optimizer = torch.optim.AdamW(parameter_groups(model.named_parameters()))
    points = torch.rand(batch, POINTS, 3, device=device) * torch.tensor(
        [8.0, 8.0, 2.5], device=device
    )
    low, high = points.amin(dim=1), points.amax(dim=1)
    truth, dtype = _truth(batch, device), autocast_dtype(device, "auto")
    times = []
    for _ in range(STEPS):
        start = time.perf_counter()
        with sdpa_kernel(
            [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
            if fused
            else [SDPBackend.MATH]
        ):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None):
                raw = model(points, low, high)
            total_loss(raw, truth, CriterionConfig())[0].backward()
            optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    on_device = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    peak = on_device or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    results.put((min(times), peak / 2**30))


def step() -> None:
    """Both ways of attention, and 3DETR's own encoder."""
    context = multiprocessing.get_context("spawn")
    batch = 8 if torch.cuda.is_available() else 1
    measured = {}
    for name, fused, kind in (
        ("fused", True, "student"), ("plain", False, "student"), ("3detr", True, "3detr"),
    ):  # fmt: skip
        results: multiprocessing.Queue[tuple[float, float]] = context.Queue()
        process = context.Process(target=_step, args=(fused, kind, batch, results))
        process.start()
        measured[name] = results.get()
        process.join()
    fused_s, fused_gib = measured["fused"]
    print(f"step of {batch} x {POINTS} points, 2048 tokens, {choose_device('auto')}, "
          f"{torch.get_num_threads()} threads (memory is of the {'device' if torch.cuda.is_available() else 'whole process'})")  # fmt: skip
    for name, (seconds, gib) in measured.items():
        print(f"  {name:<6} {seconds:7.2f} s   peak {gib:5.2f} GiB   / fused {seconds / fused_s:.2f} x time, "
              f"{gib / fused_gib:.2f} x memory")  # fmt: skip


def main() -> None:
    """Print both tables."""
    evaluation()
    step()
