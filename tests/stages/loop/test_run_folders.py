"""Whose a run's folder is: of another run, of one that never began, of one to be overwritten."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cache.card import Card, CardError, OtherConfigurationError
from cache.checkpoint import read_meta
from cache.commit import LockedError
from cache.runs import METRICS, RunFolder, probe_file, read_card
from stages.loop.loop import NonFiniteError
from stages.loop.random_numbers import Draws
from stages.loop.task import Terms
from tests.worlds.toys import CONFIG, assert_same_run, failing, run_toy, toy


def test_other_runs_are_refused(tmp_path: Path) -> None:
    run_toy(tmp_path, stop_after_epoch=1)
    with pytest.raises(OtherConfigurationError, match=r"holds another run: lr: 0.01 there, 0.1"):
        run_toy(tmp_path, CONFIG.model_copy(update={"lr": 0.1}))
    with pytest.raises(CardError, match=r"weights.safetensors: does not fit its model"):
        run_toy(tmp_path, task=replace(toy(), model=nn.Linear(3, 1)))


def test_one_process_at_a_time(tmp_path: Path) -> None:
    run_toy(tmp_path / "a", stop_after_epoch=1)
    with (
        RunFolder(tmp_path / "a", Card("toy", 1, {}, {})).held(),
        pytest.raises(LockedError, match="another process trains in it now"),
    ):
        run_toy(tmp_path / "a")


def everything_below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_a_run_that_never_made_a_step_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a batch of 41 is more than"):
        run_toy(tmp_path / "task" / "a", CONFIG.model_copy(update={"batch": 41}))

    def out_of_memory(model: nn.Module, rows: Tensor, draws: Draws) -> Terms:
        raise torch.OutOfMemoryError("tried to allocate 3 GiB")

    with pytest.raises(torch.OutOfMemoryError):
        run_toy(tmp_path / "task" / "a", task=replace(toy(), losses=out_of_memory))
    assert everything_below(tmp_path) == []
    assert run_toy(tmp_path / "task" / "a", CONFIG.model_copy(update={"lr": 0.1})).finished


def test_a_run_that_left_nothing_to_miss_gives_its_name_away(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError):
        run_toy(tmp_path / "a", task=failing(toy(), at_call=3, error=NonFiniteError("3")))
    assert (tmp_path / "a" / "run.json").is_file()
    assert (tmp_path / "a" / METRICS).read_text() == ""
    events = set((tmp_path / "a" / "tensorboard").iterdir())
    outcome = run_toy(tmp_path / "a", CONFIG.model_copy(update={"lr": 0.1}))
    assert outcome.finished
    assert read_meta(tmp_path / "a" / "last").run.config["lr"] == 0.1
    assert read_card(tmp_path / "a") == read_meta(tmp_path / "a" / "last").run
    assert not events & set((tmp_path / "a" / "tensorboard").iterdir())


def test_probes_of_weights_that_are_trained_on_are_gone(tmp_path: Path) -> None:
    run_toy(tmp_path, stop_after_epoch=1)
    probe_file(tmp_path, "scans").write_text("{}")
    run_toy(tmp_path, stop_after_epoch=2)
    assert not probe_file(tmp_path, "scans").exists()


def test_what_is_to_be_overwritten_stays_until_there_is_a_step(tmp_path: Path) -> None:
    run_toy(tmp_path / "a", stop_after_epoch=1)
    before = read_meta(tmp_path / "a" / "last")
    with pytest.raises(ValueError, match="a batch of 41 is more than"):
        run_toy(tmp_path / "a", CONFIG.model_copy(update={"batch": 41}), overwrite=True)
    assert read_meta(tmp_path / "a" / "last") == before
    run_toy(tmp_path / "b")
    run_toy(tmp_path / "a", overwrite=True)  # from its first step on, not from the saved one
    assert_same_run(tmp_path / "a", tmp_path / "b")


def test_no_held_rows_no_best(tmp_path: Path) -> None:
    outcome = run_toy(tmp_path, task=replace(toy(), evaluate=None))
    assert outcome.finished
    assert outcome.best is None
    assert not (tmp_path / "best").exists()
