"""What the study is told; the defaults are those of docs/study-plan.md."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from stages.settings import Settings

OURS, SHUFFLED, SCRATCH = "ours", "shuffled_targets", "scratch"
CORE = (OURS, SHUFFLED, SCRATCH)


class Choosing(Settings):
    """The sample world in which learning rates are chosen; its rooms are no others' rooms."""

    seed: int = Field(1, ge=0)  # of the sample world
    train: int = Field(120, ge=1)  # scans to learn from
    val: int = Field(48, ge=1)
    subsets: int = Field(2, ge=1)


class StudyConfig(Settings):
    """Arms, label budgets and how often each is repeated.

    Label budgets are percentages of the scans after the ScanNet Data Efficient benchmark, whose own lists
    are read from a folder `lists` (`1.txt`, `5.txt`, ... there) instead of drawn ones.
    """

    arms: tuple[str, ...] = CORE  # names of variants, `ours`, `scratch`
    pre_trainings: int = Field(3, ge=1)  # of ours and its controls; of all other arms `others`
    others: int = Field(1, ge=1)
    percent: tuple[float, ...] = (1, 5, 20)
    primary: float = 5
    subsets: int = Field(5, ge=1)
    seeds: int = Field(3, ge=1)  # of draws, of the frozen probe
    frozen_steps: int = Field(1000, ge=1)
    frozen_rates: tuple[float, ...] = (0.003, 0.01, 0.03)
    tuned_steps: Mapping[float, int] = Field({5: 150, 20: 300})  # of full fine-tuning, by budget
    tuned_rates: tuple[float, ...] = (0.001, 0.002, 0.004)
    choosing: Choosing = Choosing()
    lists: Path | None = None

    @field_validator("arms")
    @classmethod
    def _ours_is_there(cls, arms: tuple[str, ...]) -> tuple[str, ...]:
        if OURS not in arms or len(set(arms)) < len(arms):
            raise ValueError(f"expected {OURS} and what it is compared with, each once")
        return arms

    @field_validator("percent")
    @classmethod
    def _are_percentages(cls, percent: tuple[float, ...]) -> tuple[float, ...]:
        if not percent or not all(0 < own <= 100 for own in percent):
            raise ValueError("expected percentages of the scans, above 0 and up to 100")
        return percent

    @model_validator(mode="after")
    def _budgets_fit(self) -> Self:
        if self.primary not in self.percent:
            raise ValueError(f"primary {self.primary:g} is none of percent")
        if not set(self.tuned_steps) <= set(self.percent):
            raise ValueError("tuned_steps has a budget that percent does not have")
        if self.tuned_steps and self.primary not in self.tuned_steps:
            raise ValueError(
                f"tuned_steps has no {self.primary:g}, where rates are chosen; {{}} fine-tunes nothing"
            )
        return self

    def repeats(self, arm: str) -> int:
        """How many pre-trainings an arm has, or of scratch how many random weights."""
        return self.pre_trainings if arm in CORE else self.others
