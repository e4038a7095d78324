"""Point-MAE's official checkpoint layout, to and from ours (Pang-Yatian/Point-MAE @ 7445a68).

Point-BERT's and MaskPoint's are the same but for prefixes, and a layer after the patch embedding.
"""

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
# What goes before names: of data parallelism, of a trainer, of momentum pre-training, of a masked model.
_PREFIXES = ("base_model.", "transformer_q.", PRETRAIN_PREFIX)
# Of fine-tuned models: their part segmenter's layers, ours.
_PART_LAYERS = {
    "label_conv.0": "label", "label_conv.1": "label_norm",
    "propagation_0.mlp_convs": "propagation.layers", "propagation_0.mlp_bns": "propagation.norms",
    "convs1": "fc1", "convs2": "fc2", "convs3": "fc3", "bns1": "norm1", "bns2": "norm2",
}  # fmt: skip


@dataclass(frozen=True)
class Mapped:
    """The encoder's tensors under our names, those of heads and tokens, and the names of the rest."""

    encoder: dict[str, Tensor]
    others: dict[str, Tensor]
    dropped: tuple[str, ...]


def from_pointmae(state: Mapping[str, Tensor]) -> Mapped:
    """Map a `base_model` state dict, pre-trained or fine-tuned, with or without `module.`.

    Raises ValueError if nothing in it is an encoder's.
    """
    encoder, others, dropped = {}, {}, []
    for key, value in state.items():
        name = key.replace("module.", "")
        for prefix in _PREFIXES:
            name = name.removeprefix(prefix)
        ours = _our_name(name)
        if ours is not None:
            is_convolution = ours.startswith("embedding.") and value.ndim == 3
            encoder[ours] = value.squeeze(-1) if is_convolution else value
        elif (other := _our_other_name(name)) is not None:
            is_token = name in ("cls_token", "cls_pos")
            others[other] = (
                value.flatten() if is_token else value.squeeze(-1) if value.ndim == 3 else value
            )
        else:
            dropped.append(key)
    if not encoder:
        raise ValueError(
            f"no Point-MAE encoder in it: expected keys such as {PRETRAIN_PREFIX}encoder."
            f"first_conv.0.weight, found {', '.join(list(state)[:3]) or 'nothing'}"
        )
    return Mapped(encoder, others, tuple(dropped))


def to_pointmae(encoder: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Write an encoder's tensors as the official pre-training checkpoint's `base_model` has them."""
    state = {}
    for key, value in encoder.items():
        part, _, rest = key.partition(".")
        if rest.startswith("reduce."):
            state[f"{PRETRAIN_PREFIX}{rest.replace('reduce', 'reduce_dim')}"] = value
        elif part == "embedding":
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
    if name.startswith("reduce_dim."):
        return f"embedding.{name.replace('reduce_dim', 'reduce')}"
    return None


def _our_other_name(name: str) -> str | None:
    """The name in our classifier or part segmenter."""
    if name in ("cls_token", "cls_pos"):
        return name
    if name.startswith("cls_head_finetune."):
        return name.replace("cls_head_finetune", "head")
    for theirs, ours in _PART_LAYERS.items():
        if name.startswith(f"{theirs}."):
            return f"{ours}{name.removeprefix(theirs)}"
    return None
