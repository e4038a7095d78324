"""What is found of an artifact: facts, and what is wrong with it, where, and what mends it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Value = str | NDArray[np.float32] | Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong: `where`, `what`, and what mends it, if it is known (`mend`)."""

    where: str
    what: str
    mend: str = ""

    def __str__(self) -> str:
        """In a line."""
        said = f"{self.where}: {self.what}" if self.where else self.what
        return f"{said}; {self.mend}" if self.mend else said


@dataclass
class Report:
    """Facts of one artifact in their order, each a text, a matrix (4, 4) or a configuration.

    `findings` is empty of a whole one; `all_read` tells whether every byte was read to know that.
    """

    facts: list[tuple[str, Value]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    all_read: bool = False

    def fact(self, what: str, value: Value) -> None:
        """Add a fact; with an empty `what` it belongs to the one before."""
        self.facts.append((what, value))

    def found(self, where: str, what: str, mend: str = "") -> None:
        """Add something that is wrong."""
        self.findings.append(Finding(where, what, mend))

    def extend(self, findings: Iterable[Finding]) -> None:
        """Add several."""
        self.findings.extend(findings)

    @property
    def is_whole(self) -> bool:
        """True if nothing is wrong."""
        return not self.findings
