"""Point-MAE's official checkpoint layout, to and from ours (Pang-Yatian/Point-MAE @ 7445a68)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

# Ours, theirs; their convolutions of width one have a trailing axis of one.
_EMBEDDING = {
    "local1": "first_conv.0", "norm1": "first_conv.1", "local2": "first_conv.3",
    "joint1": "second_conv.0", "norm2": "second_conv.1", "joint2": "second_conv.3",
}  # fmt: skip
_THEIR_EMBEDDING = {theirs: ours for ours, theirs in _EMBEDDING.items()}
PRETRAIN_PREFIX = "MAE_encoder."


@dataclass(frozen=True)
class Mapped:
    """The encoder's tensors under our names, and the names of what has no place in it."""

    encoder: dict[str, Tensor]
    dropped: tuple[str, ...]


def from_pointmae(state: Mapping[str, Tensor]) -> Mapped:
    """Map a `base_model` state dict, pre-trained or fine-tuned, with or without `module.`.

    Raises ValueError if nothing in it is an encoder's.
    """
    encoder, dropped = {}, []
    for key, value in state.items():
        name = key.replace("module.", "").removeprefix("base_model.").removeprefix(PRETRAIN_PREFIX)
        ours = _our_name(name)
        if ours is None:
            dropped.append(key)
        else:
            is_convolution = ours.startswith("embedding.") and value.ndim == 3
            encoder[ours] = value.squeeze(-1) if is_convolution else value
    if not encoder:
        raise ValueError(
            f"no Point-MAE encoder in it: expected keys such as {PRETRAIN_PREFIX}encoder."
            f"first_conv.0.weight, found {', '.join(list(state)[:3]) or 'nothing'}"
        )
    return Mapped(encoder, tuple(dropped))


def to_pointmae(encoder: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Write an encoder's tensors as the official pre-training checkpoint's `base_model` has them."""
    state = {}
    for key, value in encoder.items():
        part, _, rest = key.partition(".")
        if part == "embedding":
            layer, _, kind = rest.partition(".")
            is_linear = kind == "weight" and value.ndim == 2
            state[f"{PRETRAIN_PREFIX}encoder.{_EMBEDDING[layer]}.{kind}"] = (
                value.unsqueeze(-1) if is_linear else value
            )
        else:
            theirs = rest.replace("blocks.", "blocks.blocks.", 1) if rest[:7] == "blocks." else rest
            state[f"{PRETRAIN_PREFIX}{theirs}"] = value
    return {key: torch.clone(value) for key, value in state.items()}


def _our_name(name: str) -> str | None:
    if name.startswith("encoder."):
        layer, _, kind = name.removeprefix("encoder.").rpartition(".")
        return f"embedding.{_THEIR_EMBEDDING[layer]}.{kind}" if layer in _THEIR_EMBEDDING else None
    if name.startswith("blocks.blocks."):
        return f"transformer.{name.replace('blocks.blocks.', 'blocks.', 1)}"
    if name.startswith(("pos_embed.", "norm.")):
        return f"transformer.{name}"
    return None
