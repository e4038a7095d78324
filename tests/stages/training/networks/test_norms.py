"""Every network that is trained: after a few steps its norms know their batches, not their beginning."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from stages.loop.batch_norm import BatchNorm1d, NormWarmUp
from stages.training.networks.classifier import PointClassifier
from stages.training.networks.detector import Detector
from stages.training.networks.joint import JointPrediction, JointStudent
from stages.training.networks.masked import MaskedAutoencoder
from stages.training.networks.maskpoint import MaskPointNetwork
from stages.training.networks.part_segmenter import PartSegmenter
from stages.training.networks.patch_student import PatchStudent
from stages.training.networks.rivals import build_rival
from stages.training.networks.scene_segmenter import SceneSegmenter
from stages.training.networks.shapes import (
    ClassifierShape,
    DetectorShape,
    DetrEncoderShape,
    EncoderShape,
    JointShape,
    MaskedShape,
    MaskPointShape,
    PartSegmenterShape,
    PatchStudentShape,
    PooledStudentShape,
    RivalShape,
    SegmenterShape,
    StudentShape,
)
from stages.training.networks.student import PooledStudent, Student

STEPS, WITHIN = 20, 0.2
ENCODER = EncoderShape(
    width=24, depth=2, num_heads=2, patch_hidden=8, num_patches=24, patch_size=8, drop_path=0
)
POINTS = torch.randn(4, 256, 3, generator=torch.Generator().manual_seed(0)) * 0.3
CATEGORY = torch.tensor([0, 1, 2, 1])
RANGE = POINTS.amin(dim=1), POINTS.amax(dim=1)

QUERIES = torch.randn(4, 12, 3, generator=torch.Generator().manual_seed(1)) * 0.3

Call = Callable[[nn.Module], Tensor]


def hidden(count: int) -> Tensor:
    return (torch.arange(ENCODER.num_patches) < count).expand(4, -1)


def of_both(output: JointPrediction) -> Tensor:
    return torch.cat([output.prediction.flatten(), output.rebuilt.flatten()])


def of_points(model: nn.Module) -> Tensor:
    return model(POINTS)


def of_parts(model: nn.Module) -> Tensor:
    return model(POINTS, CATEGORY)


def of_boxes(model: nn.Module) -> Tensor:
    raw = model(POINTS, *RANGE)
    return torch.cat(
        [raw.logits.flatten(), raw.offset.flatten(), raw.size.flatten(), raw.angle.flatten()]
    )


def detector(kind: str) -> Detector:
    return Detector(
        DetectorShape.model_validate(
            {"kind": kind, "encoder": ENCODER, "width": 32, "layers": 2, "hidden": 32, "num_queries": 8,
             "own": DetrEncoderShape(num_tokens=32, width=32, hidden=32, layers=2)}
        )
    )  # fmt: skip


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Call]] = {
    "student": (
        lambda: Student(StudentShape(encoder=ENCODER, target=(2, 8), num_concepts=4)),
        lambda model: model(POINTS)[0],
    ),
    "pooled student": (
        lambda: PooledStudent(PooledStudentShape(encoder=ENCODER, target=(2, 8))),
        lambda model: model(POINTS)[0],
    ),
    "patch student": (
        lambda: PatchStudent(PatchStudentShape(encoder=ENCODER, target_width=8)),
        lambda model: model(POINTS)[0],
    ),
    "masked autoencoder": (
        lambda: MaskedAutoencoder(MaskedShape(encoder=ENCODER, decoder_depth=1)),
        lambda model: model(POINTS, hidden(model.shape.num_masked))[0],
    ),
    "joint student": (
        lambda: JointStudent(
            JointShape(encoder=ENCODER, target=(2, 8), num_concepts=4, decoder_depth=1)
        ),
        lambda model: of_both(model(POINTS, hidden(model.num_masked))),
    ),
    "maskpoint": (
        lambda: MaskPointNetwork(MaskPointShape(encoder=ENCODER)),
        lambda model: model(POINTS, hidden(model.shape.num_masked), QUERIES, QUERIES[..., 0])[0],
    ),
    "classifier": (
        lambda: PointClassifier(ClassifierShape(encoder=ENCODER, num_classes=4)), of_points,
    ),
    "part segmenter": (
        lambda: PartSegmenter(
            PartSegmenterShape(encoder=ENCODER, num_categories=3, num_parts=6, head_width=32)
        ),
        of_parts,
    ),
    "scene segmenter": (
        lambda: SceneSegmenter(SegmenterShape(encoder=ENCODER, num_classes=5, widths=(16, 8))), of_points,
    ),
    "detector": (lambda: detector("student"), of_boxes),
    "3detr": (lambda: detector("3detr"), of_boxes),
    **{
        f"{kind}, {task}": (
            lambda kind=kind, task=task: build_rival(
                RivalShape(kind=kind, task=task, num_outputs=6, num_categories=3)
            ),
            of_parts if task == "parts" else of_points,
        )
        for kind, task in (
            ("pointnet", "classification"), ("pointnet", "parts"), ("pointnet2", "classification"),
            ("pointnet2", "segmentation"), ("dgcnn", "classification"), ("dgcnn", "segmentation"),
        )
    },
}  # fmt: skip


def batch_variances(model: nn.Module, call: Call) -> dict[str, Tensor]:
    """The unbiased variance (C,) of what each norm is given in a training pass."""
    found: dict[str, Tensor] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor]], None]:
        def look(_: nn.Module, inputs: tuple[Tensor]) -> None:
            # A head that several layers share is called once a layer; its last call counts.
            found[name] = inputs[0].detach().transpose(0, 1).flatten(1).var(dim=1)

        return look

    norms = {name: m for name, m in model.named_modules() if isinstance(m, _BatchNorm)}
    hooks = [m.register_forward_pre_hook(watch(name)) for name, m in norms.items()]
    call(model)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_the_running_variance_is_the_batches(name: str) -> None:
    make, call = NETWORKS[name]
    torch.manual_seed(0)
    model = make().train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # so that one batch has one variance
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    with torch.no_grad():
        target = torch.randn_like(call(make()))
    for _ in range(STEPS):
        optimizer.zero_grad()
        (call(model) - target).square().mean().backward()
        optimizer.step()
    running = {
        n: m.running_var.clone() for n, m in model.named_modules() if isinstance(m, _BatchNorm)
    }
    given = batch_variances(model, call)
    assert running.keys() == given.keys() != set()
    off = {norm: (running[norm].median() / given[norm].median()).item() for norm in running}
    assert all(1 - WITHIN < ratio < 1 + WITHIN for ratio in off.values()), off


def test_a_norm_in_evaluation_or_frozen_stays_as_it_is() -> None:
    norm = BatchNorm1d(3).train()
    norm(torch.randn(8, 3))
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    norm.eval()(torch.randn(8, 3))
    assert all(torch.equal(before[name], value) for name, value in norm.state_dict().items())


def test_the_first_batches_are_averaged_and_later_ones_weigh_a_tenth() -> None:
    norm = BatchNorm1d(1).train()
    batches = [torch.randn(16, 1) * (number + 1) for number in range(12)]
    for number, batch in enumerate(batches, start=1):
        before = norm.running_var.clone()
        norm(batch)
        if number <= 10:
            mean = torch.stack([b.var() for b in batches[:number]]).mean()
            torch.testing.assert_close(norm.running_var[0], mean)
        else:
            torch.testing.assert_close(norm.running_var, 0.9 * before + 0.1 * batch.var())
    assert norm.num_batches_tracked == 12


def test_output_and_gradients_are_those_of_torch() -> None:
    ours, theirs = BatchNorm1d(5).train(), nn.BatchNorm1d(5).train()
    x = torch.randn(7, 5, 4)
    grads = []
    for norm in (ours, theirs):
        own = x.clone().requires_grad_()
        out = norm(own)
        out.square().sum().backward()
        grads.append((out, own.grad, norm.weight.grad))
    for a, b in zip(*grads, strict=True):
        assert torch.equal(a, b)


def test_norms_of_a_library_follow_the_same_rule() -> None:
    torch.manual_seed(0)
    theirs = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    ours = BatchNorm1d(4).train()
    warm_up = NormWarmUp(theirs)
    for _ in range(14):
        warm_up.before_batch()
        x = torch.randn(2, 3, 5, 5)
        theirs(x)
        ours(theirs[0](x).flatten(2))
    torch.testing.assert_close(theirs[1].running_var, ours.running_var)
    assert theirs[1].momentum == 0.1
