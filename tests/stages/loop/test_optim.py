"""Schedules and parameter groups, by hand."""

import math

import pytest
import torch

from stages.loop.optim import Schedule, parameter_groups, set_step
from stages.training.networks.classifier import PointClassifier
from stages.training.networks.shapes import ClassifierShape, EncoderShape, StudentShape
from stages.training.networks.student import Student

PAPER = Schedule(lr=1e-3, lowest_lr=1e-6, epochs=250, warmup_epochs=10, steps_per_epoch=4,
                 weight_decay=0.05)  # fmt: skip


def test_the_paper_schedule() -> None:
    rates = [PAPER.rate(step) for step in range(PAPER.total_steps)]
    assert rates[0] == pytest.approx(1e-3 / 40)
    assert rates[39] == rates[40] == pytest.approx(1e-3)
    assert rates[-1] == pytest.approx(1e-6)
    assert rates[:40] == sorted(rates[:40])
    assert rates[40:] == sorted(rates[40:], reverse=True)
    middle = 40 + (1000 - 1 - 40) / 2
    assert PAPER.rate(int(middle)) == pytest.approx((1e-3 + 1e-6) / 2, rel=5e-3)
    assert {PAPER.decay(step) for step in (0, 500, 999)} == {0.05}


def test_weight_decay_may_follow_a_cosine() -> None:
    schedule = Schedule(1, 0, 2, 0, 5, weight_decay=0.1, weight_decay_to=0.4)
    assert schedule.decay(0) == pytest.approx(0.1)
    assert schedule.decay(9) == pytest.approx(0.4)
    assert schedule.decay(4) < 0.25 < schedule.decay(5)


def test_biases_norms_and_queries_do_not_decay() -> None:
    student = Student(StudentShape(encoder=EncoderShape(width=48, depth=2), target=(2, 4)))
    student.head.requires_grad_(False)
    groups = parameter_groups(student.named_parameters())
    ids = [{id(p) for p in group["params"]} for group in groups]
    names = [{n for n, p in student.named_parameters() if id(p) in chosen} for chosen in ids]
    assert "concepts.queries" in names[1]
    assert all(name.endswith("weight") for name in names[0])
    assert not any("norm" in name for name in names[0])
    assert names[0].isdisjoint(names[1])
    trained = {n for n, p in student.named_parameters() if p.requires_grad}
    assert names[0] | names[1] == trained
    optimizer = torch.optim.AdamW(groups, lr=1)
    set_step(optimizer.param_groups, PAPER, 100)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.05, 0]
    assert {group["lr"] for group in optimizer.param_groups} == {PAPER.rate(100)}


def test_of_a_class_token_only_the_position_decays() -> None:
    """As in Point-MAE: by its name the token does not, by its three axes the position does."""
    model = PointClassifier(ClassifierShape(encoder=EncoderShape(width=12, depth=1, num_heads=2)))
    decayed, plain = parameter_groups(model.named_parameters())
    assert any(p is model.cls_pos for p in decayed["params"])
    assert any(p is model.cls_token for p in plain["params"])


def test_everything_can_decay() -> None:
    model = PointClassifier(ClassifierShape(encoder=EncoderShape(width=12, depth=1, num_heads=2)))
    (group,) = parameter_groups(model.named_parameters(), decay_all=True)
    assert group["decayed"]
    assert len(group["params"]) == sum(p.requires_grad for p in model.parameters())


def test_the_schedule_of_3detr() -> None:
    """Its engine's formula, written out: the cosine counts from the first step."""
    schedule = Schedule(lr=5e-4, lowest_lr=1e-6, epochs=720, warmup_epochs=9, steps_per_epoch=150,
                        weight_decay=0.1, kind="3detr")  # fmt: skip
    total = 720 * 150
    for step in (0, 1, 700, 1350, 1351, 2000, 54_000, total - 1):
        done = step / total
        if done <= 9 / 720:
            expected = 1e-6 + done * 720 * ((5e-4 - 1e-6) / 9)
        else:
            expected = 1e-6 + 0.5 * (5e-4 - 1e-6) * (1 + math.cos(math.pi * done))
        assert schedule.rate(step) == pytest.approx(expected, rel=1e-12)
    assert schedule.rate(1350) > schedule.rate(1351)
