"""Masked autoencoding of patches, as Point-MAE's (models/Point_MAE.py @ 7445a68).

The encoder sees some of the patches; a small transformer rebuilds the points of the others from these and
from where the others are. All but the encoder is thrown away.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from stages.geometry.pointops import gather_points
from stages.training.networks.coordinates import CoordinateLinear
from stages.training.networks.encoder import PointEncoder
from stages.training.networks.shapes import MaskedShape
from stages.training.networks.tokenizer import Patches
from stages.training.networks.transformer import INIT_STD, POSITION_HIDDEN, Block


class Rebuilt(NamedTuple):
    """Points of masked patches as rebuilt and as they are, (B, M, K, 3), relative to their centres.

    `features` (B, V, C) are the last block's, of the patches that were seen.
    """

    rebuilt: Tensor
    true: Tensor
    patches: Patches
    features: Tensor


def split_patches(mask: Tensor, num_masked: int) -> tuple[Tensor, Tensor]:
    """The patches that are seen (B, V) and that are masked (B, M), each in their order, of mask (B, G)."""
    order = mask.to(torch.uint8).argsort(dim=1, stable=True)
    return order[:, : mask.shape[1] - num_masked], order[:, mask.shape[1] - num_masked :]


class PatchDecoder(nn.Module):
    """Features of seen patches and places of all to the points of the masked ones."""

    def __init__(self, shape: MaskedShape) -> None:
        super().__init__()
        encoder, width = shape.encoder, shape.encoder.width
        self.mask_token = nn.Parameter(torch.empty(width))
        nn.init.trunc_normal_(self.mask_token, std=INIT_STD)
        self.position = nn.Sequential(
            CoordinateLinear(3, POSITION_HIDDEN), nn.GELU(), nn.Linear(POSITION_HIDDEN, width)
        )
        rates = torch.linspace(0, encoder.drop_path, shape.decoder_depth).tolist()
        self.blocks = nn.ModuleList(Block(width, encoder.num_heads, r, "pre") for r in rates)
        self.norm = nn.LayerNorm(width)
        self.to_points = nn.Linear(width, 3 * encoder.patch_size)
        self.blocks.apply(_init_as_the_reference)

    def forward(self, features: Tensor, patches: Patches, seen: Tensor, masked: Tensor) -> Tensor:
        """From features (B, V, C) of the seen patches: points (B, M, K, 3), relative to their centres."""
        count = masked.shape[1]
        place = self.position(gather_points(patches.centers, torch.cat([seen, masked], dim=1)))
        unknown = self.mask_token.to(features.dtype).expand(len(features), count, -1)
        x = torch.cat([features, unknown], dim=1)
        for block in self.blocks:
            x = block(x + place)
        return self.to_points(self.norm(x[:, -count:])).unflatten(-1, (-1, 3))


class MaskedAutoencoder(nn.Module):
    """The backbone on the patches that are seen, and a decoder for the others."""

    def __init__(self, shape: MaskedShape) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = PointEncoder(shape.encoder)
        self.decoder = PatchDecoder(shape)

    def forward(self, points: Tensor, mask: Tensor) -> Rebuilt:
        """Rebuild what `mask` (B, G) bool hides of clouds (B, N, 3); as many patches in each."""
        return self.rebuild(self.encoder.patches_of(points), mask)

    def rebuild(self, patches: Patches, mask: Tensor) -> Rebuilt:
        """The same of patches that are there already."""
        seen, masked = split_patches(mask, self.shape.num_masked)
        last = self.encoder.encode(patches, visible=seen)[-1]
        rebuilt = self.decoder(last, patches, seen, masked)
        return Rebuilt(rebuilt, points_of(patches, masked), patches, last)


def points_of(patches: Patches, which: Tensor) -> Tensor:
    """The points (B, M, K, 3), relative to their centres, of some patches (B, M) of each cloud."""
    flat = gather_points(patches.neighborhoods.flatten(2), which)
    return flat.unflatten(-1, patches.neighborhoods.shape[2:])


def _init_as_the_reference(module: nn.Module) -> None:
    """Xavier in the decoder's blocks; its other layers keep PyTorch's own, as there."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
