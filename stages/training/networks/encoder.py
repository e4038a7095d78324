"""The backbone: a cloud to patch tokens to features. What is exported and fine-tuned."""

from torch import Tensor, nn

from stages.geometry.pointops import gather_points
from stages.training.networks.shapes import EncoderShape
from stages.training.networks.tokenizer import PatchEmbedding, Patches, make_patches
from stages.training.networks.transformer import PointTransformer


def encoder_layers(depth: int) -> tuple[tuple[str, ...], ...]:
    """The modules of an encoder, from the input on: the embedding, each block, the final norm."""
    blocks = ((f"transformer.blocks.{number}",) for number in range(depth))
    return (("embedding", "transformer.pos_embed"), *blocks, ("transformer.norm",))


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
        patches = self.patches_of(points)
        return self.encode(patches), patches

    def patches_of(self, points: Tensor) -> Patches:
        """Cut clouds (B, N, 3) into patches."""
        return make_patches(
            points,
            self.shape.num_patches,
            self.shape.patch_size,
            near_origin_rule=self.shape.near_origin_rule,
        )

    def encode(
        self,
        patches: Patches,
        lead: tuple[Tensor, Tensor] | None = None,
        visible: Tensor | None = None,
    ) -> list[Tensor]:
        """Return each block's features of patches that are there already.

        With `lead`, a token (C,) and its position (C,), that one comes first: (B, 1 + G, C). Of
        `visible` (B, V) only these patches go through the blocks; all are embedded, as Point-MAE does, so
        that norms see whole clouds.
        """
        tokens, centers = self.embedding(patches.neighborhoods), patches.centers
        if visible is not None:
            tokens, centers = (gather_points(values, visible) for values in (tokens, centers))
        return self.transformer(tokens, centers, lead)
