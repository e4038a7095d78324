"""What a task says of itself: what can be known without torch, and its work."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from cache.scene_group import Listing
from cache.workspace import Workspace
from stages.training.tasks.finetune_config import FinetuneConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from stages.training.tasks.downstream import Downstream
    from stages.training.weights.first_weights import Initial

C = TypeVar("C", bound=FinetuneConfig)
Measure = Callable[["nn.Module"], dict[str, Any]]


@dataclass(frozen=True)
class Description(Generic[C]):
    """What commands, tables and figures know of a task.

    - `headlines` are the final measures that a table shows, and what they are called there;
    - `panels` are the curves of a run: a title, and the logged measures under it;
    - `shown` are the parts of a final evaluation that only figures read.
    """

    config: type[C]
    reads: Literal["objects", "scans"]
    headlines: tuple[tuple[str, str], ...]
    panels: tuple[tuple[str, tuple[str, ...]], ...]
    shown: tuple[str, ...]

    def store(self, config: C, paths: Workspace) -> Path:
        """Where the prepared data lies that a configuration names."""
        return paths.objects(config.data) if self.reads == "objects" else paths.scans(config.data)


@dataclass(frozen=True)
class Work(Generic[C]):
    """What a task does with its prepared data, a listed store.

    - `inputs(config, store)` are fingerprints of what it would read, from the cards alone;
    - `measure(config, store, device)` reads the held split alone, and gives what measures a trained
      network at length;
    - `build(config, store, initial, device)` reads all of it and makes the network;
    - `predict(network, config, about, cloud, category)` is what a trained network says of one cloud
      (P, 3); `about` is what its checkpoint says of it, `category` the kind of object, if it is known.

    The first three raise CardError or ValueError if the data is not all there.
    """

    inputs: Callable[[C, Listing], dict[str, str]]
    measure: "Callable[[C, Listing, torch.device], Measure]"
    build: "Callable[[C, Listing, Initial, torch.device], Downstream]"
    predict: "Callable[[nn.Module, C, Mapping[str, Any], Tensor, str | None], dict[str, Any]]"
