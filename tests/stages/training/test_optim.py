"""Schedules and parameter groups, by hand."""

import pytest
import torch

from stages.training.networks.encoder import EncoderShape
from stages.training.networks.student import Student, StudentShape
from stages.training.optim import Schedule, parameter_groups, set_step

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
