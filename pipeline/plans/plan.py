"""A plan: steps in order that know whether they are done; what is done is not done again.

A step that fails does not stop those that do not build on it. Interrupted, the same plan goes on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pipeline.packages import explained

FAILURES = (ValueError, OSError, RuntimeError, ArithmeticError, ImportError)


@dataclass(frozen=True)
class Step:
    """Something to do under a name; `left_out` is why it cannot be done now, if so.

    `run` returns True if it came to its end, False if it was stopped on the way.
    """

    name: str
    is_done: Callable[[], bool]
    run: Callable[[], bool]
    left_out: str = ""


@dataclass
class Progress:
    """What became of a plan's steps, by name."""

    before: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    stopped: str | None = None


def run_plan(steps: Sequence[Step], say: Callable[[str], None] = lambda _: None) -> Progress:
    """Do what is not done, in order, until a step is stopped."""
    progress = Progress()
    for number, step in enumerate(steps, start=1):
        if step.is_done():
            progress.before.append(step.name)
            continue
        if step.left_out:
            progress.left_out[step.name] = step.left_out
            continue
        say(f"{number}/{len(steps)} {step.name}")
        try:
            finished = step.run()
        except FAILURES as error:
            progress.failed[step.name] = explained(error)
            say(f"  failed: {progress.failed[step.name]}")
            continue
        if not finished:
            progress.stopped = step.name
            break
        progress.done.append(step.name)
    return progress
