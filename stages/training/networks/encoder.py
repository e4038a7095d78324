"""The backbone: a cloud to patch tokens to features. What is exported and fine-tuned."""

from typing import Literal, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from stages.settings import Settings
from stages.training.networks.tokenizer import PatchEmbedding, Patches, make_patches
from stages.training.networks.transformer import PointTransformer


class EncoderShape(Settings):
    """All that rebuilds an encoder. Defaults are the paper's student, which is Point-MAE's."""

    width: int = Field(384, ge=1)
    depth: int = Field(12, ge=1)
    num_heads: int = Field(6, ge=1)
    patch_hidden: int = Field(128, ge=1)  # first width of the patch embedding
    token_width: int | None = Field(None, ge=1)  # of the embedding, if not `width`
    num_patches: int = Field(64, ge=1)
    patch_size: int = Field(32, ge=1)
    drop_path: float = Field(0.1, ge=0, lt=1)
    position: Literal["every", "output"] = "every"
    norm: Literal["pre", "post"] = "pre"
    near_origin_rule: bool = True

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} is no multiple of {self.num_heads} heads")
        return self

    def check_points(self, num_points: int) -> None:
        """Raise ValueError if a cloud of so many points cannot be cut into these patches."""
        for name in ("patch_size", "num_patches"):
            if (needed := getattr(self, name)) > num_points:
                raise ValueError(
                    f"fewer points than encoder.{name} = {needed} needs; raise this, or lower that"
                )


class PointEncoder(nn.Module):
    """Points (B, N, 3) to the features (B, G, C) of each block."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = PatchEmbedding(shape.width, shape.patch_hidden, shape.token_width)
        self.transformer = PointTransformer(
            width=shape.width,
            depth=shape.depth,
            num_heads=shape.num_heads,
            drop_path=shape.drop_path,
            position=shape.position,
            norm=shape.norm,
        )

    def forward(self, points: Tensor) -> tuple[list[Tensor], Patches]:
        """Return each block's features, the last after the final norm, and the patches."""
        patches = make_patches(
            points,
            self.shape.num_patches,
            self.shape.patch_size,
            near_origin_rule=self.shape.near_origin_rule,
        )
        return self.encode(patches), patches

    def encode(self, patches: Patches, lead: tuple[Tensor, Tensor] | None = None) -> list[Tensor]:
        """Return each block's features of patches that are there already.

        With `lead`, a token (C,) and its position (C,), that one comes first: (B, 1 + G, C).
        """
        tokens = self.embedding(patches.neighborhoods)
        return self.transformer(tokens, patches.centers, lead)
