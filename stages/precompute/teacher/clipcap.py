"""ClipCap's mapper: a CLIP image embedding to the prefix of a language model.

Mokady et al., "ClipCap: CLIP Prefix for Image Captioning" (arXiv 2111.09734). Parameters are named
as in the official checkpoints (rmokady/CLIP_prefix_caption @ 1ad805a), below `clip_project.`.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.machine.hub import download

PREFIX = "clip_project."
NUM_HEADS = 8  # of the transformer mapper, fixed in the official code
# The weights trained on Conceptual Captions, where public code finds them.
CONCEPTUAL_MIRRORS = (
    ("akhaliq/CLIP-prefix-captioning-conceptual-weights", "conceptual_weights.pt"),
    ("OpenShape/clipcap-cc", "conceptual_weights.pt"),
)


@dataclass(frozen=True)
class MapperShape:
    """embed_dim E -> prefix (length L, width D); `clip_length` and `num_layers` of a transformer."""

    kind: Literal["mlp", "transformer"]
    embed_dim: int
    length: int
    width: int
    clip_length: int = 10
    num_layers: int = 8


class MlpMapper(nn.Module):
    """Linear, tanh, linear: (B, E) -> (B, L, D)."""

    def __init__(self, shape: MapperShape) -> None:
        super().__init__()
        hidden = shape.width * shape.length // 2
        self.shape = shape
        self.model = nn.Sequential(
            nn.Linear(shape.embed_dim, hidden),
            nn.Tanh(),
            nn.Linear(hidden, shape.width * shape.length),
        )

    def forward(self, embedding: Tensor) -> Tensor:
        """Map un-normalised embeddings (B, E) to prefixes (B, L, D)."""
        prefix: Tensor = self.model(embedding)
        return prefix.unflatten(1, (self.shape.length, self.shape.width))


class TransformerMapper(nn.Module):
    """Tokens made of the embedding and learned ones through a transformer: (B, E) -> (B, L, D)."""

    def __init__(self, shape: MapperShape) -> None:
        super().__init__()
        self.shape = shape
        self.linear = nn.Linear(shape.embed_dim, shape.clip_length * shape.width)
        self.prefix_const = nn.Parameter(torch.randn(shape.length, shape.width))
        self.transformer = nn.Module()  # holds the official names
        self.transformer.layers = nn.ModuleList(
            _Layer(shape.width) for _ in range(shape.num_layers)
        )

    def forward(self, embedding: Tensor) -> Tensor:
        """Map embeddings (B, E) to prefixes (B, L, D): what the learned tokens become."""
        tokens = self.linear(embedding).unflatten(1, (self.shape.clip_length, self.shape.width))
        learned = self.prefix_const.expand(len(embedding), -1, -1)
        x = torch.cat([tokens, learned], dim=1)
        layers = self.transformer.layers
        assert isinstance(layers, nn.ModuleList)
        for layer in layers:
            x = layer(x)
        return x[:, self.shape.clip_length :]


class _Layer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.ModuleDict(
            {
                "to_queries": nn.Linear(width, width, bias=False),
                "to_keys_values": nn.Linear(width, 2 * width, bias=False),
                "project": nn.Linear(width, width),
            }
        )
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(width, 2 * width), "fc2": nn.Linear(2 * width, width)}
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._attend(self.norm1(x))
        return x + self.mlp["fc2"](F.relu(self.mlp["fc1"](self.norm2(x))))

    def _attend(self, x: Tensor) -> Tensor:
        query = self.attn["to_queries"](x).unflatten(2, (NUM_HEADS, -1))
        key, value = self.attn["to_keys_values"](x).unflatten(2, (2, NUM_HEADS, -1)).unbind(2)
        query, key, value = (item.transpose(1, 2) for item in (query, key, value))
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.attn["project"](mixed.transpose(1, 2).flatten(2))


Mapper = MlpMapper | TransformerMapper


def build_mapper(shape: MapperShape) -> Mapper:
    """Return an untrained mapper."""
    return MlpMapper(shape) if shape.kind == "mlp" else TransformerMapper(shape)


def load_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read a state dict of tensors onto the CPU. Raises ValueError if the file is none."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # hostile bytes can raise anything in it
        first = str(error).split(". ")[0].strip() or "it ends at once"
        raise ValueError(f"{path}: not a checkpoint, or cut off: {first}") from None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{path}: expected a state dict of tensors, found {type(state).__name__}")
    return state


def load_mapper(state: Mapping[str, Tensor], *, where: str, length: int = 10) -> Mapper:
    """Rebuild the mapper of an official checkpoint; only `clip_project.*` is used.

    `length` is the prefix's number of tokens, needed where the checkpoint has no `gpt.*`. Raises
    ValueError naming `where` if tensors are missing, of another shape, or not finite.
    """
    own = {
        key.removeprefix(PREFIX): v.float() for key, v in state.items() if key.startswith(PREFIX)
    }
    shape = _mapper_shape(own, state.get("gpt.transformer.wte.weight"), where, length)
    mapper = build_mapper(shape)
    expected = mapper.state_dict()
    wrong = [
        f"{key} {tuple(own[key].shape) if key in own else 'missing'}, expected {tuple(value.shape)}"
        for key, value in expected.items()
        if key not in own or own[key].shape != value.shape
    ]
    if wrong or own.keys() - expected.keys():
        extra = [f"unknown {key}" for key in sorted(own.keys() - expected.keys())]
        raise ValueError(f"{where}: not a ClipCap mapper: {'; '.join((wrong + extra)[:4])}")
    bad = [key for key, value in own.items() if not value.isfinite().all()]
    if bad:
        raise ValueError(f"{where}: {PREFIX}{bad[0]} has values that are not finite")
    mapper.load_state_dict(own)
    return mapper


def _mapper_shape(
    own: Mapping[str, Tensor], words: Tensor | None, where: str, length: int
) -> MapperShape:
    layers = [re.match(r"transformer\.layers\.(\d+)\.", key) for key in own]
    if "model.2.weight" in own and "model.0.weight" in own:
        out, embed_dim = own["model.2.weight"].shape[0], own["model.0.weight"].shape[-1]
        width = words.shape[1] if words is not None else out // length
        if words is not None:
            length = out // width
        return MapperShape("mlp", embed_dim, length, width)
    if {"prefix_const", "linear.weight"} <= own.keys():
        length, width = own["prefix_const"].shape
        out, embed_dim = own["linear.weight"].shape
        count = 1 + max((int(found[1]) for found in layers if found), default=-1)
        return MapperShape("transformer", embed_dim, length, width, out // width, count)
    raise ValueError(
        f"{where}: no ClipCap mapper in it: expected {PREFIX}model.0.weight (MLP) or "
        f"{PREFIX}prefix_const (transformer), found {', '.join(list(own)[:3]) or 'neither'}"
    )


def find_conceptual_weights() -> Path:
    """Return the Conceptual Captions checkpoint from the mirrors, downloaded once.

    Raises ValueError saying what to put where if none can be reached.
    """
    found = download(CONCEPTUAL_MIRRORS)
    if found is not None:
        return found
    mirrors = " or ".join(
        f"https://huggingface.co/{repo} ({name})" for repo, name in CONCEPTUAL_MIRRORS
    )
    raise ValueError(
        f"ClipCap's Conceptual Captions weights cannot be downloaded from here. Fetch {mirrors} "
        "elsewhere and name the file: --set teacher.source=PATH/conceptual_weights.pt"
    )


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """Hash names, shapes, types and bytes of tensors, whatever file they came from."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
