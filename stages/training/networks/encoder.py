"""The backbone: a cloud to patch tokens to features. What is exported and fine-tuned."""

from torch import Tensor, nn

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
