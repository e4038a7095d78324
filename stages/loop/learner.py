"""What is trained: the network, its averaged copy, the optimizer; saved together and put back."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cache.checkpoint import STATE, WEIGHTS, Meta, read_arrays, write_checkpoint
from stages.loop.loop_config import LoopConfig
from stages.loop.optim import parameter_groups
from stages.loop.processes import Processes
from stages.loop.sync_norm import synchronise
from stages.loop.task import Task
from stages.loop.tensors import (
    load_optimizer,
    load_weights,
    optimizer_tensors,
    to_arrays,
    to_tensors,
)

TRAINED = "trained."  # the weights that the optimizer changes, beside the averaged ones


class Learner:
    """A network on its device, and what changes it. `wrapped` is what losses call."""

    def __init__(
        self, task: Task, config: LoopConfig, device: torch.device, processes: Processes
    ) -> None:
        self.model = task.model.to(device)
        self._frozen = [self.model.get_submodule(name) for name in task.frozen]
        for module in self._frozen:
            module.requires_grad_(False)
        if config.sync_bn and processes.count > 1:
            synchronise(self.model)
        if config.compile:
            self.model.compile()
        self.wrapped = processes.wrap(self.model, device)
        self.clip_norm = config.clip_norm or float("inf")
        self._ema: AveragedModel | None = None
        if config.ema is not None:
            average = get_ema_multi_avg_fn(config.ema)
            self._ema = AveragedModel(self.model, multi_avg_fn=average, use_buffers=True)
        groups = parameter_groups(
            self.model.named_parameters(), task.rate_of, decay_all=config.weight_decay_on == "all"
        )
        kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
        self.optimizer = kind(groups, lr=config.lr, weight_decay=config.weight_decay, fused=True)

    @property
    def judged(self) -> nn.Module:
        """The network to evaluate and to use: the averaged one, if there is one."""
        return self._ema.module if self._ema else self.model

    def train(self) -> None:
        """Go into training mode, all but what is frozen."""
        self.model.train()
        for module in self._frozen:
            module.eval()

    def exchange_gradients(self, wanted: bool) -> None:
        """Say whether the next backward pass shares gradients with other processes."""
        if isinstance(self.wrapped, DistributedDataParallel):
            self.wrapped.require_backward_grad_sync = wanted

    def clip_gradients(self) -> Tensor:
        """Clip gradients to the configured norm, and return the norm before, a scalar."""
        return nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)

    def step(self) -> None:
        """Apply the gradients."""
        self.optimizer.step()
        if self._ema:
            self._ema.update_parameters(self.model)

    def save_to_use(self, path: Path, meta: Meta) -> None:
        """Write the network that is judged."""
        write_checkpoint(path, meta, to_arrays(self.judged.state_dict()), None)

    def save_to_go_on(self, path: Path, meta: Meta) -> None:
        """Write everything that going on needs; the weights of the checkpoint are those to use."""
        state = optimizer_tensors(self.optimizer)
        if self._ema:
            trained = self.model.state_dict()
            state |= {f"{TRAINED}{name}": value for name, value in trained.items()}
            state["num_averaged"] = self._ema.n_averaged
        write_checkpoint(path, meta, to_arrays(self.judged.state_dict()), to_arrays(state))

    def load(self, path: Path) -> None:
        """Take what `save_to_go_on` wrote. Raises CardError if it does not fit."""
        load_weights(self.judged, to_tensors(read_arrays(path, WEIGHTS)), where=str(path / WEIGHTS))
        state = to_tensors(read_arrays(path, STATE))
        load_optimizer(self.optimizer, state)
        if self._ema:
            trained = {
                k.removeprefix(TRAINED): v for k, v in state.items() if k.startswith(TRAINED)
            }
            load_weights(self.model, trained, where=str(path / STATE))
            self._ema.n_averaged.copy_(state["num_averaged"])
