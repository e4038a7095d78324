"""What a pre-training objective is to the step that runs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from stages.loop.random_numbers import Draws
from stages.loop.task import Terms
from stages.training.pretraining.cameras import Views

Measures = dict[str, float]


@dataclass(frozen=True)
class Batch:
    """Some frames: `points` (B, N, 3) as the network sees them, and what else is known of them.

    `metres` (B, N, 3) are the same points in the depth camera's frame, before they were turned, normalised
    and augmented; `targets` (B, ...) float32 by array; `views` is of all frames, where `rows` (B,) says
    which these are, None if no camera was asked for.
    """

    rows: Tensor
    points: Tensor
    metres: Tensor
    targets: Mapping[str, Tensor]
    views: Views | None = None


class Objective(Protocol):
    """How a student learns, and how it is judged on held frames.

    The network's forward does all learned work, so that several processes exchange gradients once; it
    takes a batch's points and the extras, and returns a named tuple with `patches` and `features`.
    """

    @property
    def headline(self) -> str:
        """The measure that chooses the best checkpoint: smaller is better."""

    @property
    def needs_whole_batch(self) -> bool:
        """Whether the loss compares a batch's rows, so that it cannot be split."""

    def network(self) -> nn.Module:
        """Build the network, whose `encoder` is what is used later."""

    def about(self) -> dict[str, Any]:
        """What rebuilds the network, `kind` and `shape`, as plain JSON types."""

    def extras(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        """What else the network is given: masks, queries, from the step's random numbers."""

    def terms(self, output: Any, batch: Batch) -> Terms:
        """The loss of a batch, and what is logged beside it."""

    def kept(self, output: Any, batch: Batch) -> Any:
        """What of a held batch is needed to measure, once all are through."""

    def measures(self, kept: Sequence[Any]) -> Measures:
        """Measure all held batches: `val_...`, with what chance or no learning gives."""

    def bars(self) -> Measures:
        """What a student must beat on the held frames; nothing if there are none."""
