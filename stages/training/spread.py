"""Numbers over seeds: mean and deviation, and what two arms differ by, seed for seed."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean, standard deviation (of a sample: n - 1; None of one value) and the values themselves."""
    mean = math.fsum(values) / len(values)
    square = math.fsum((value - mean) ** 2 for value in values)
    std = math.sqrt(square / (len(values) - 1)) if len(values) > 1 else None
    return {"mean": mean, "std": std, "runs": list(values)}


def said(measure: Mapping[str, Any], *, sign: str = "") -> str:
    """Write `0.1234 +- 0.0056`, or of one value that it is one."""
    mean, std = f"{measure['mean']:{sign}.4f}", measure["std"]
    return f"{mean} (one seed)" if std is None else f"{mean} +- {std:.4f}"


def beside(trained: Sequence[float], control: Sequence[float]) -> dict[str, Any]:
    """An arm, its control, and their differences, whose seeds are the same."""
    differences = [one - other for one, other in zip(trained, control, strict=True)]
    return {
        "trained": spread(trained),
        "random": spread(control),
        "difference": spread(differences),
    }
