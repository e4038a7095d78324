"""Jobs in processes: results, progress, errors, and workers that die."""

import os
import signal
from collections.abc import Callable

import pytest

from stages.machine import workers
from stages.machine.workers import DIED, run_all
from tests.harness.killed_pools import DiesBetweenTasks, DiesWhileStarting, KilledPool

pytestmark = pytest.mark.processes


def work(job: str, advance: Callable[[int], None]) -> str:
    if job == "crash at once":
        os.kill(os.getpid(), signal.SIGKILL)
    advance(1)
    if job == "bad":
        raise ValueError("bad input")
    if job == "fault":
        raise KeyError("ours")
    if job == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    advance(2)
    return job.upper()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_fails_its_job_only(workers: int) -> None:
    seen: list[int] = []
    jobs = ["a", "bad", "b", "fault", "c"]
    outcomes = {o.job: o for o in run_all(work, jobs, workers=workers, update=seen.append)}
    assert {job: outcomes[job].result for job in "abc"} == {"a": "A", "b": "B", "c": "C"}
    assert outcomes["bad"].error == "bad input"
    assert "KeyError: 'ours' (a fault of ours" in str(outcomes["fault"].error)
    assert "raise KeyError" in outcomes["fault"].trace
    assert seen == sorted(seen)
    assert seen[-1] <= 8


@pytest.mark.parametrize("crash", ["crash", "crash at once"])
def test_a_worker_that_dies_fails_its_job_only(crash: str) -> None:
    jobs = [*"abcdef", crash, *"ghij"]
    outcomes = list(run_all(work, jobs, workers=2, update=lambda _: None))
    assert sorted(o.job for o in outcomes) == sorted(jobs)
    errors = {o.job: o.error for o in outcomes if o.error}
    assert errors == {crash: DIED}
    assert all(o.result == o.job.upper() for o in outcomes if not o.error)


def test_a_worker_that_dies_while_another_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "Pool", DiesWhileStarting)
    outcomes = list(run_all(work, [*"abc"], workers=2, update=lambda _: None))
    # A pool of one process has no other beside it, so that what is tried alone goes through.
    assert {o.job for o in outcomes} == set("abc")
    assert {o.error for o in outcomes} <= {None, DIED}


def test_a_worker_that_dies_before_all_jobs_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "Pool", DiesBetweenTasks)
    monkeypatch.setattr(DiesBetweenTasks, "happened", False)
    outcomes = list(run_all(work, [*"abcd"], workers=2, update=lambda _: None))
    assert DiesBetweenTasks.happened
    assert sorted(o.result or "" for o in outcomes) == [*"ABCD"]


def test_workers_that_cannot_start_fail_all_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "Pool", KilledPool)
    outcomes = list(run_all(work, [*"abc"], workers=2, update=lambda _: None))
    assert sorted((o.job, o.error) for o in outcomes) == [(job, DIED) for job in "abc"]


def test_no_jobs() -> None:
    assert list(run_all(work, [], workers=2, update=lambda _: None)) == []
