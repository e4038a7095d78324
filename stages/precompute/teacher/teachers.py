"""Frozen 2D teachers behind one face: pixels to named arrays, `prefix` (L, D) among them.

`clipcap` is the paper's. `clip-global` and `timm` give one token, the image's global embedding;
`random` is ClipCap with untrained weights, a control: of the paper's shape, or with `source: trained` of the
trained teacher's.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from stages.geometry.teacher_window import Crop
from stages.precompute.teacher.clipcap import (
    Mapper,
    MapperShape,
    build_mapper,
    find_conceptual_weights,
    load_checkpoint,
    load_mapper,
    weights_sha256,
)
from stages.precompute.teacher.towers import (
    Activation,
    Precision,
    Tower,
    open_clip_tower,
    random_tower,
    timm_tower,
)
from stages.settings import Settings

CHECKPOINT_FILE = "clipcap.pt"  # in a folder that teacher-train wrote
CLIPCAP_WIDTH = 768  # of GPT-2
CLIPCAP, OPENAI = "clipcap", "openai"
Arrays = dict[str, Tensor]


class TeacherConfig(Settings):
    """Which teacher, and how it looks at images. Defaults are the paper's."""

    name: str = Field("clipcap", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    kind: Literal["clipcap", "clip-global", "timm", "random"] = "clipcap"
    # ClipCap's checkpoint: a file, `conceptual` (downloaded), or `trained` (by teacher-train).
    source: str = "conceptual"
    trained: str = "trained"  # the name of the teacher of `source: trained`
    model: str = "ViT-B-32-quickgelu"
    pretrained: str = OPENAI  # a tag of open_clip, or a file; of timm a file, else its own weights
    activation: Activation | None = None  # of weights in a file
    normalize_embedding: bool = False  # what the official transformer notebook does, and no other
    prefix_length: int = Field(10, ge=1)
    tokenizer: str = "gpt2"  # of the captions: a name on the hub, or a folder
    crop: Crop | None = None  # None: as the model was trained
    precision: Precision = "fp32"
    arrays: tuple[Literal["clip", "patches"], ...] = ()
    batch_images: int = Field(64, ge=1)
    seed: int = Field(0, ge=0)  # of untrained weights

    @model_validator(mode="after")
    def _other_kinds_have_names_of_their_own(self) -> Self:
        if self.name == CLIPCAP and self.kind != CLIPCAP:
            raise ValueError(
                f"a teacher of kind {self.kind} would be stored as {CLIPCAP}; name it, such as "
                f"--set teacher.name={self.kind}"
            )
        return self


class Teacher(nn.Module):
    """A frozen teacher: it refuses to train. Move it to a device before use."""

    def __init__(
        self,
        tower: Tower,
        mapper: Mapper | None,
        *,
        normalize_embedding: bool,
        precision: Precision,
        arrays: tuple[str, ...],
    ) -> None:
        super().__init__()
        self.tower_module, self.mapper = tower.module, mapper
        self.tower, self.precision, self.arrays = tower, precision, arrays
        self.normalize_embedding = normalize_embedding
        about = tower.preprocessing
        self.register_buffer("mean", torch.tensor(about.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(about.std).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)
        self._weights = {
            "tower_sha256": weights_sha256(tower.module.state_dict()),
            "mapper_sha256": weights_sha256(mapper.state_dict()) if mapper else None,
        }

    def train(self, mode: bool = True) -> Self:
        """Refuse: the teacher is frozen."""
        if mode:
            raise RuntimeError("the teacher is frozen and cannot be trained")
        return super().train(mode)

    @torch.inference_mode()
    def forward(self, pixels: Tensor) -> Arrays:
        """Encode prepared images (B, S, S, 3) uint8 to float32 arrays, `prefix` (B, L, D) first."""
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        scaled = pixels.permute(0, 3, 1, 2).float().div_(255)
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[
            self.precision
        ]
        with torch.autocast(pixels.device.type, dtype, enabled=self.precision != "fp32"):
            embedding, patches = self.tower.encode(scaled.sub_(mean).div_(std))
        embedding = embedding.float()
        found = {"prefix": self.map(embedding)}
        if "clip" in self.arrays:
            found["clip"] = embedding
        if "patches" in self.arrays:
            if patches is None:
                raise ValueError("this tower has no patch tokens; leave patches out of arrays")
            found["patches"] = patches.float()
        return found

    def map(self, embedding: Tensor) -> Tensor:
        """Turn embeddings (B, E) into prefixes (B, L, D); without a mapper they are the one token."""
        if self.normalize_embedding:
            embedding = embedding / embedding.norm(2, -1, keepdim=True)
        return embedding[:, None] if self.mapper is None else self.mapper(embedding)

    def identity(self) -> dict[str, Any]:
        """What makes two teachers the same: weights, preprocessing, precision, arrays."""
        mapper = self.mapper
        return {
            **self._weights,
            "mapper": asdict(mapper.shape) if mapper else None,
            "normalize_embedding": self.normalize_embedding,
            "preprocessing": {
                key: list(value) if isinstance(value, tuple) else value
                for key, value in asdict(self.tower.preprocessing).items()
            },
            "precision": self.precision,
            "arrays": list(self.arrays),
            "patch_layer": self.tower.patch_layer if "patches" in self.arrays else None,
        }


def load_teacher(config: TeacherConfig, *, trained: Path) -> Teacher:
    """Load the teacher that a configuration names; `trained` is the folder of `source: trained`.

    Raises ValueError saying what to fetch, or what does not fit.
    """
    model, pretrained, mapper = config.model, config.pretrained, None
    checkpoint = None
    as_trained = config.source == "trained" and config.kind in ("clipcap", "random")
    if config.kind == "clipcap" or as_trained:
        checkpoint = checkpoint_file(config, trained)
        if as_trained:
            model = str(trained)
        state = load_checkpoint(checkpoint)
        mapper = load_mapper(state, where=str(checkpoint), length=config.prefix_length)
    match config.kind:
        case "timm":
            tower = timm_tower(model, _file_of_timm(pretrained), crop=config.crop)
        case "random":
            tower = random_tower(model, crop=config.crop, seed=config.seed)
        case "clipcap" | "clip-global":
            tower = open_clip_tower(
                model, pretrained, activation=config.activation, crop=config.crop
            )
    if config.kind == "random":  # of the shape that the trained one has, if it is named
        embed_dim = _embed_dim(tower)
        own = MapperShape("mlp", embed_dim, config.prefix_length, CLIPCAP_WIDTH)
        mapper = build_mapper(mapper.shape if mapper else own)
    if mapper is not None and mapper.shape.embed_dim != _embed_dim(tower):
        raise ValueError(
            f"{checkpoint}: this ClipCap maps embeddings of {mapper.shape.embed_dim} numbers, "
            f"{model} gives {_embed_dim(tower)}; choose the tower it was trained with"
        )
    return Teacher(
        tower,
        mapper,
        normalize_embedding=config.normalize_embedding,
        precision=config.precision,
        arrays=config.arrays,
    )


def _file_of_timm(pretrained: str) -> Path | None:
    """The file of weights that is named; None if nothing is, and timm's own are meant."""
    if pretrained == OPENAI:  # what the configuration says for CLIP
        return None
    path = Path(pretrained).expanduser()
    if not path.is_file():
        raise ValueError(f"teacher.pretrained = {pretrained}: no such file of weights")
    return path


def checkpoint_file(config: TeacherConfig, trained: Path) -> Path:
    """Return ClipCap's checkpoint, downloading it if need be. Raises ValueError if it is nowhere."""
    if config.source == "conceptual":
        return find_conceptual_weights()
    if config.source == "trained":
        if not (trained / CHECKPOINT_FILE).is_file():
            raise ValueError(f"{trained}: no trained teacher there; run teacher-train first")
        return trained / CHECKPOINT_FILE
    return Path(config.source).expanduser()


def _embed_dim(tower: Tower) -> int:
    size = tower.preprocessing.size
    with torch.inference_mode():
        embedding, _ = tower.encode(torch.zeros(1, 3, size, size))
    return embedding.shape[1]
