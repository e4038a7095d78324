"""The one training loop: pre-training and every downstream task run through it.

Every step's randomness is a function of the seed and the step, so where a run stands is its
weights, its optimizer and its step: stopped anywhere and gone on, it ends as if never stopped, bit
for bit on a CPU.
"""

import math
import time
from dataclasses import dataclass, field
from signal import Signals
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from cache.card import CardError
from cache.checkpoint import Meta, has_checkpoint, read_meta
from cache.runs import NONFINITE, RunFolder
from stages.loop.cost import flops_per_row, peak_flops
from stages.loop.learner import Learner
from stages.loop.loop_config import LoopConfig
from stages.loop.metrics_log import MetricsLog, epoch_words
from stages.loop.optim import Schedule, set_step
from stages.loop.processes import Processes, own_slices
from stages.loop.random_numbers import Draws, epoch_order, seed_of
from stages.loop.stopping import Stop, listening
from stages.loop.task import Task, Terms
from stages.machine.device import autocast_dtype
from stages.machine.memory import keep_freed_memory
from stages.machine.progress import Progress

SAVE_INTERVAL_S = 300.0  # what a kill can cost, looked at after each step
LOG_EVERY_STEPS = 20


class NonFiniteError(ValueError):
    """The loss or a gradient was not finite; the message says where the batch was saved."""


@dataclass(frozen=True)
class Outcome:
    """How a call of `train` ended: `finished`, or stopped at a step, and what was measured last.

    `stopped_by` names the signal that stopped it, to whichever process it came; after the last step
    too, since what is done at a finished training's end can take long.
    """

    finished: bool
    step: int
    epoch: int
    total_steps: int
    metrics: dict[str, float]
    best: dict[str, float] | None
    stopped_by: str | None = None


@dataclass
class _Position:
    """Where a run stands. `sums` are of the epoch that has begun."""

    step: int = 0
    best: dict[str, float] | None = None
    measured: dict[str, float] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)


class Loop:
    """A task in training: its modules on the device, and where it stands."""

    def __init__(
        self,
        task: Task,
        config: LoopConfig,
        folder: RunFolder,
        device: torch.device,
        procs: Processes,
    ) -> None:
        self.task, self.config, self.folder = task, config, folder
        self.device, self.procs = device, procs
        self.slices = own_slices(config.batch, config.accumulate, procs)
        self.steps_per_epoch = task.num_rows // config.batch
        if self.steps_per_epoch == 0:
            raise ValueError(
                f"a batch of {config.batch} is more than the {task.num_rows} training rows"
            )
        peak = peak_flops(device)
        flops = flops_per_row(task, device) if peak else 0.0
        self.utilisation_per_rate = flops / peak / procs.count if peak else 0.0
        self.learner = Learner(task, config, device, procs)
        self.schedule = Schedule(
            lr=config.lr,
            lowest_lr=config.lowest_lr,
            epochs=config.epochs,
            warmup_epochs=config.warmup_epochs,
            steps_per_epoch=self.steps_per_epoch,
            weight_decay=config.weight_decay,
            weight_decay_to=0.0 if config.weight_decay_schedule == "cosine" else None,
            kind=config.schedule,
        )
        self.dtype = autocast_dtype(device, config.precision)
        self.position = _Position()
        self.saved_at_s = time.monotonic()

    def run(self, *, stop_after_epoch: int | None = None) -> Outcome:
        """Train to the end, or to where it is asked to stop; the last checkpoint says where."""
        self._resume()
        log = MetricsLog(self.folder, self.position.step) if self.procs.is_first else None
        total_rows = self.schedule.total_steps * self.config.batch
        with (
            listening() as stop,
            Progress(self.folder.label, total_rows, "samples") as progress,
        ):
            progress.update(self.position.step * self.config.batch)
            self._note_start(progress, log)
            while self.position.step < self.schedule.total_steps:
                asked = self._train_epoch(stop, progress, log)
                epoch = self.position.step // self.steps_per_epoch
                at_end = self.position.step == self.schedule.total_steps
                stopped = asked or (epoch == stop_after_epoch and not at_end)
                if stopped or at_end or self._is_save_due():
                    self._save()
                if stopped:
                    break
        if log:
            log.close()
        asked = self.procs.largest(stop.number)
        return Outcome(
            finished=self.position.step == self.schedule.total_steps and not asked,
            step=self.position.step,
            epoch=self.position.step // self.steps_per_epoch,
            total_steps=self.schedule.total_steps,
            metrics=self.position.measured,
            best=self.position.best,
            stopped_by=Signals(asked).name if asked else None,
        )

    def _train_epoch(self, stop: Stop, progress: Progress, log: MetricsLog | None) -> int:
        """Train to the end of the epoch that has begun, and measure; the signal to stop, or 0."""
        epoch, first = divmod(self.position.step, self.steps_per_epoch)
        order = epoch_order(self.config.seed, epoch, self.task.num_rows)
        self.learner.train()
        start = time.perf_counter()
        for number in range(first, self.steps_per_epoch):
            rows = order[number * self.config.batch : (number + 1) * self.config.batch]
            asked = self._train_step(rows, stop, log)
            progress.update(self.position.step * self.config.batch)
            if number + 1 == self.steps_per_epoch:  # saved after it is measured
                break
            if asked:
                return asked
            if self._is_save_due():
                self._save()
        done = (self.steps_per_epoch - first) * self.config.batch
        line = self._epoch_line(epoch + 1, done / (time.perf_counter() - start))
        if self._is_measured(epoch + 1):
            line |= self._measure(epoch + 1)
        self.position.measured, self.position.sums = line, {}
        if self.config.keep_every_epochs and (epoch + 1) % self.config.keep_every_epochs == 0:
            self._keep(epoch + 1)
        if log:
            log.epoch(line)
            progress.note(epoch_words(self.folder.label, self.config.epochs, line))
        return self.procs.largest(stop.number)

    def _train_step(self, rows: Tensor, stop: Stop, log: MetricsLog | None) -> int:
        """One step of the optimizer; the signal that asks to stop after it, or 0."""
        step = self.position.step
        set_step(self.learner.optimizer.param_groups, self.schedule, step)
        self.learner.optimizer.zero_grad(set_to_none=True)
        logged: dict[str, Tensor] = {}
        for micro, part in enumerate(self.slices):
            terms = self._backward(rows, part, step, is_last=micro + 1 == len(self.slices))
            for key, value in {"loss": terms.total, **terms.logged}.items():
                logged[key] = logged.get(key, 0) + value.detach() / len(self.slices)
        logged["grad_norm"] = self.learner.clip_gradients()
        # The one moment of a step at which the host waits for the device.
        numbers = torch.stack([value.float() for value in logged.values()]).tolist()
        values = dict(zip(logged, numbers, strict=True))
        finite = math.isfinite(values["loss"]) and math.isfinite(values["grad_norm"])
        if self.procs.any(not finite):
            self._save_batch(rows, values)
        self.learner.step()
        self.position.step += 1
        if self.procs.is_first:
            self.folder.take()
        for key, value in values.items():
            self.position.sums[key] = self.position.sums.get(key, 0.0) + value
        if log and step % LOG_EVERY_STEPS == 0:
            log.step(step, {f"step/{key}": value for key, value in values.items()})
        return self.procs.largest(stop.number)

    def _backward(self, rows: Tensor, part: slice, step: int, *, is_last: bool) -> Terms:
        """Add the gradients of a part of the batch."""
        seed = seed_of(self.config.seed, "draws", step)
        draws = Draws(seed, len(rows), part, self.device)
        # What the network itself draws (dropped paths) must differ from part to part.
        torch.manual_seed(seed_of(self.config.seed, "network", step, part.start))
        self.learner.exchange_gradients(is_last)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            terms = self.task.losses(self.learner.wrapped, rows[part], draws)
        loss: Any = terms.total / len(self.slices)
        loss.backward()
        return terms

    def _epoch_line(self, epoch: int, samples_per_s: float) -> dict[str, float]:
        """What the epoch's steps came to, over all processes."""
        names = sorted(self.position.sums)
        sums = torch.tensor([self.position.sums[name] for name in names], dtype=torch.float64)
        sums = sums.to(self.device) if self.device.type == "cuda" else sums
        means = (self.procs.sum(sums) / self.procs.count / self.steps_per_epoch).tolist()
        step = self.position.step
        line = {
            "epoch": epoch,
            "step": step,
            **dict(zip(names, means, strict=True)),
            "lr": self.schedule.rate(step - 1),
            "weight_decay": self.schedule.decay(step - 1),
            "samples_per_s": samples_per_s,
        }
        if self.utilisation_per_rate:
            line["flop_utilisation"] = samples_per_s * self.utilisation_per_rate
        return line

    def _is_measured(self, epoch: int) -> bool:
        return self.task.evaluate is not None and (
            epoch % self.config.validate_every_epochs == 0 or epoch == self.config.epochs
        )

    def _measure(self, epoch: int) -> dict[str, float]:
        """Evaluate on the first process, and keep the checkpoint if it is the best so far."""
        found: dict[str, float] = {}
        if self.procs.is_first:
            assert self.task.evaluate is not None
            # In float32, as the final evaluation, so that both are one measure.
            with torch.no_grad():
                found = self.task.evaluate(self.learner.judged.eval())
            if self._is_best(found):
                self.position.best = {"epoch": epoch, **found}
                self.learner.save_to_use(self.folder.best, self._meta(self.position.best))
        self.procs.wait()
        return found

    def _is_save_due(self) -> bool:
        """True on the first process, which alone saves, if the last checkpoint is too long ago."""
        return self.procs.is_first and time.monotonic() - self.saved_at_s >= SAVE_INTERVAL_S

    def _save(self) -> None:
        """Write where the run stands, and what it measured last."""
        if self.procs.is_first:
            self.learner.save_to_go_on(self.folder.last, self._meta(self.position.measured))
        self.saved_at_s = time.monotonic()

    def _keep(self, epoch: int) -> None:
        if self.procs.is_first:
            kept = self.folder.kept(epoch)
            self.learner.save_to_use(kept, self._meta(self.position.measured))

    def _is_best(self, found: dict[str, float]) -> bool:
        if self.position.best is None:
            return True
        sign = 1 if self.task.larger_is_better else -1
        return sign * found[self.task.headline] > sign * self.position.best[self.task.headline]

    def _meta(self, metrics: dict[str, float]) -> Meta:
        position = {
            "step": self.position.step,
            "total_steps": self.schedule.total_steps,
            "epoch": self.position.step // self.steps_per_epoch,
            "best": self.position.best,
            "sums": self.position.sums,
        }
        return Meta(self.task.about, self.folder.card, position, metrics)

    def _resume(self) -> None:
        """Go on from the last checkpoint, if there is one. Raises CardError if it does not fit."""
        path = self.folder.last
        if self.folder.starts_anew or not has_checkpoint(path):
            return
        meta = read_meta(path)
        if meta.run.fingerprint != self.folder.card.fingerprint:
            raise CardError(f"{path}: a checkpoint of another run; --overwrite starts anew")
        if meta.position["total_steps"] != self.schedule.total_steps:
            raise CardError(f"{path}: its schedule has another length; --overwrite starts anew")
        self.learner.load(path)
        self.position = _Position(
            meta.position["step"], meta.position["best"], meta.metrics, meta.position["sums"]
        )

    def _note_start(self, progress: Progress, log: MetricsLog | None) -> None:
        if not log:
            return
        kind = str(self.dtype or torch.float32).removeprefix("torch.")
        progress.note(
            f"{self.folder.label}: {self.config.epochs} epochs of {self.steps_per_epoch} steps of "
            f"{self.config.batch}, {kind} on {self.device}"
            + (f", {self.procs.count} processes" if self.procs.count > 1 else "")
            + (f"; goes on after step {self.position.step}" if self.position.step else "")
            + ("" if log.has_tensorboard else "; tensorboard is not installed, so no events")
        )

    def _save_batch(self, rows: Tensor, values: dict[str, float]) -> None:
        """Keep the weights before the step, and the batch, and stop."""
        folder = self.folder.path / NONFINITE
        if self.procs.is_first:
            self.learner.save_to_go_on(folder, self._meta(values))
            tensors = {"rows": rows, **self.task.inputs(rows)}
            save_file(
                {k: v.cpu().contiguous() for k, v in tensors.items()}, folder / "batch.safetensors"
            )
        self.procs.wait()
        said = ", ".join(f"{key} {value:.4g}" for key, value in values.items())
        raise NonFiniteError(
            f"step {self.position.step}: not finite: {said}. The batch's rows and inputs, and the "
            f"weights before it, are in {folder}. Try a lower lr, clip_norm, or precision fp32"
        )


def train(
    task: Task,
    config: LoopConfig,
    folder: RunFolder,
    *,
    device: torch.device,
    processes: Processes,
    stop_after_epoch: int | None = None,
) -> Outcome:
    """Train a task in a run's folder, which is open, going on from where it stands there.

    Raises NonFiniteError; CardError if the folder's checkpoint does not fit; ValueError if the batch
    cannot be split or is larger than the data.
    """
    if device.type == "cpu":
        keep_freed_memory()
    loop = Loop(task, config, folder, device, processes)
    return loop.run(stop_after_epoch=stop_after_epoch)
