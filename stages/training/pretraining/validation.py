"""How a student is judged on frames of rooms that it does not learn from."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stages.training.networks.student import pooled
from stages.training.pretraining.clouds import Clouds
from stages.training.pretraining.measures import effective_rank
from stages.training.pretraining.objectives.objective import Measures, Objective


@dataclass(frozen=True)
class Validation:
    """Held frames, and the objective that measures on them, `batch` at a time."""

    objective: Objective
    held: Clouds
    batch: int

    def evaluate(self, model: nn.Module) -> Measures:
        """Measure the objective's own, and how many directions the backbone's features have."""
        kept, features = [], []
        for rows in torch.arange(len(self.held.pairs)).split(self.batch):
            batch = self.held.plain(rows)
            draws = self.held.fixed_draws(rows, "held extras")
            output = model(batch.points, **self.objective.extras(batch, draws))
            kept.append(self.objective.kept(output, batch))
            features.append(pooled(output.features.float()))
        whole: Tensor = torch.cat(features)
        return {**self.objective.measures(kept), "val_feature_rank": effective_rank(whole)}
