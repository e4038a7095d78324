"""Where a downstream network's weights start: a student of ours, another's checkpoint, or nothing.

Others' are PyTorch checkpoints of Point-MAE (Pang-Yatian/Point-MAE @ 7445a68), Point-BERT
(Julie-tang00/Point-BERT @ ce5a6e1) and MaskPoint (WisconsinAIVision/MaskPoint @ f65c088), pre-trained or
fine-tuned, which share their names but for prefixes; and of 3DETR (facebookresearch/3detr @ a5d1aad),
for a detector of its kind.
"""

import pickle
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cache.checkpoint import WEIGHTS, has_checkpoint, read_arrays, read_meta
from cache.runs import SCRATCH as SCRATCH
from stages.geometry.cloud_input import Normalisation
from stages.loop.tensors import to_tensors
from stages.training.networks.shapes import EncoderShape
from stages.training.weights.build import input_of
from stages.training.weights.detr_layout import from_detr, is_detr
from stages.training.weights.pointmae_layout import from_pointmae

# What makes numpy's numbers out of bytes; by its name, which is numpy's own affair.
_SCALAR = np.float64(0).__reduce__()[0]
# What published checkpoints hold beside tensors: options, and measures as numpy's numbers.
PLAIN: list[Any] = [
    Namespace,
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float32", "float64", "int32", "int64")),
    *((_SCALAR, f"{module}.multiarray.scalar") for module in ("numpy.core", "numpy._core")),
]
HEAD_DIM = 64  # of the published transformers, which do not say their number of heads


@dataclass(frozen=True)
class Initial:
    """Tensors by the names of our downstream networks, and what they tell of the encoder's shape."""

    source: str
    tensors: dict[str, Tensor] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    encoder: dict[str, Any] = field(default_factory=dict)
    normalisation: Normalisation | None = None  # of the clouds that it learned from, if it is known

    def shape(self, wanted: EncoderShape) -> EncoderShape:
        """The configured encoder, with what the weights fix."""
        return EncoderShape.model_validate({**wanted.model_dump(), **self.encoder})


@dataclass(frozen=True)
class Matched:
    """Names of what was loaded, of what has no place in the network, of what is new there."""

    loaded: tuple[str, ...]
    dropped: tuple[str, ...]
    new: tuple[str, ...]


def load_initial(source: str) -> Initial:
    """Read a checkpoint: a folder of ours, or a PyTorch file. `scratch` is nothing.

    Raises ValueError if it is not there, or if nothing in it belongs to an encoder.
    """
    if source == SCRATCH:
        return Initial(SCRATCH)
    path = Path(source)
    for folder in (path, path / "last"):
        if has_checkpoint(folder):
            return _load_ours(folder)
    if path.is_file():
        return _load_theirs(path)
    if not path.exists():
        raise ValueError(f"{source}: no such file or folder")
    raise ValueError(
        f"{source}: expected the folder of a run or of a checkpoint, a PyTorch checkpoint of "
        f"Point-MAE, Point-BERT, MaskPoint or 3DETR, or {SCRATCH}"
    )


def _load_ours(path: Path) -> Initial:
    meta = read_meta(path)
    shape = EncoderShape.model_validate(meta.model.get("shape", {}).get("encoder", {}))
    tensors = to_tensors(read_arrays(path, WEIGHTS))
    # How many patches are made, and what is dropped, is the task's to say.
    kept = shape.model_dump(exclude={"num_patches", "patch_size", "drop_path"})
    source, shown = f"{meta.run.kind} {meta.run.fingerprint}", input_of(meta).normalisation
    return Initial(source, tensors, encoder=kept, normalisation=shown)


def _load_theirs(path: Path) -> Initial:
    try:
        with torch.serialization.safe_globals(PLAIN):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path}: no PyTorch checkpoint of tensors: {why_unread(error)}") from None
    for key in ("base_model", "model_state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    state = (
        {k: v for k, v in found.items() if isinstance(v, Tensor)} if isinstance(found, dict) else {}
    )
    try:
        if is_detr(state):
            detector, dropped = from_detr(state)
            return Initial(path.name, detector, dropped)
        mapped = from_pointmae(state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    tensors = {f"encoder.{name}": value for name, value in mapped.encoder.items()} | mapped.others
    return Initial(path.name, tensors, mapped.dropped, _shape_of(mapped.encoder))


def why_unread(error: Exception) -> str:
    """What torch found, without its advice to load files that may run code."""
    said = str(error).rpartition("WeightsUnpickler error:")[2]
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[0].partition(". ")[0] if lines else type(error).__name__


def _shape_of(encoder: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the tensors of an encoder say of its shape."""
    width = (
        len(encoder["transformer.norm.weight"]) if "transformer.norm.weight" in encoder else None
    )
    if width is None:
        return {}
    shape: dict[str, Any] = {"width": width, "token_width": None}
    blocks = {int(name.split(".")[2]) for name in encoder if name.startswith("transformer.blocks.")}
    shape["depth"] = len(blocks)
    if width % HEAD_DIM == 0:
        shape["num_heads"] = width // HEAD_DIM
    if "embedding.local1.weight" in encoder:
        shape["patch_hidden"] = len(encoder["embedding.local1.weight"])
    if "embedding.joint2.weight" in encoder:
        tokens = len(encoder["embedding.joint2.weight"])
        shape["token_width"] = None if tokens == width else tokens
    return shape


def apply_initial(model: nn.Module, initial: Initial) -> Matched:
    """Copy what fits by name and shape into a model.

    Raises ValueError if nothing of the encoder does: then training would silently be from scratch.
    """
    own = model.state_dict()
    fitting = {
        name: value
        for name, value in initial.tensors.items()
        if name in own and own[name].shape == value.shape
    }
    if initial.source != SCRATCH and not any(name.startswith("encoder.") for name in fitting):
        raise ValueError(
            f"{initial.source}: none of its {len(initial.tensors)} tensors fits this encoder"
        )
    model.load_state_dict(fitting, strict=False)
    dropped = [name for name in initial.tensors if name not in fitting]
    new = [name for name in own if name not in fitting and not name.endswith("num_batches_tracked")]
    return Matched(tuple(fitting), (*dropped, *initial.dropped), tuple(new))


def describe(mapping: Matched) -> list[str]:
    """Say what was loaded, dropped and is new, a line each, by the first two parts of names."""
    lines = []
    for what, names in vars(mapping).items():
        parts: dict[str, int] = {}
        for name in names:
            part = ".".join(name.split(".")[:2])
            parts[part] = parts.get(part, 0) + 1
        said = ", ".join(f"{part} ({count})" for part, count in parts.items())
        lines.append(f"{what} {len(names)} tensors{': ' + said if said else ''}")
    return lines


def shown_otherwise(initial: Initial, about: Mapping[str, Any]) -> str | None:
    """Say so if a network's encoder will see clouds of another scale than the one its weights know."""
    own = about["shape"].get("norm_input", "unit_sphere")
    if initial.normalisation in (None, own):
        return None
    return (
        f"its weights learned from clouds in {initial.normalisation}, this task shows them in {own}"
        + ("; norm_input changes it" if "norm_input" in about["shape"] else "")
    )
