"""The backbone: a cloud to patch tokens to features. What is exported and fine-tuned."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from stages.training.networks.tokenizer import PatchEmbedding, Patches, make_patches
from stages.training.networks.transformer import PointTransformer


@dataclass(frozen=True)
class EncoderShape:
    """All that rebuilds an encoder. Defaults are the paper's student, which is Point-MAE's."""

    width: int = 384
    depth: int = 12
    num_heads: int = 6
    num_patches: int = 64
    patch_size: int = 32
    drop_path: float = 0.1
    position: Literal["every", "output"] = "every"
    norm: Literal["pre", "post"] = "pre"
    near_origin_rule: bool = True


class PointEncoder(nn.Module):
    """Points (B, N, 3) to the features (B, G, C) of each block."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = PatchEmbedding(shape.width)
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

    def encode(self, patches: Patches) -> list[Tensor]:
        """Return each block's features of patches that are there already."""
        return self.transformer(self.embedding(patches.neighborhoods), patches.centers)
