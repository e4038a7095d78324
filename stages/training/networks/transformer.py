"""The point transformer: tokens of patches through pre-norm blocks, as Point-MAE's encoder."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.training.networks.coordinates import CoordinateLinear

POSITION_HIDDEN = 128
INIT_STD = 0.02


class Attention(nn.Module):
    """Multi-head self-attention without a bias on queries, keys and values."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Mix tokens (B, T, C)."""
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Linear, exact GELU, linear."""

    def __init__(self, width: int, ratio: int = 4) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, ratio * width), nn.Linear(ratio * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map each token (B, T, C)."""
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Attention and MLP, each a residual; `norm: pre` normalises their input, `post` their sum."""

    def __init__(
        self, width: int, num_heads: int, drop_path: float, norm: Literal["pre", "post"]
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = Attention(width, num_heads), Mlp(width)
        self.drop_path, self.norm = drop_path, norm

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens (B, T, C)."""
        if self.norm == "post":
            x = self.norm1(x + self._dropped(self.attn(x)))
            return self.norm2(x + self._dropped(self.mlp(x)))
        x = x + self._dropped(self.attn(self.norm1(x)))
        return x + self._dropped(self.mlp(self.norm2(x)))

    def _dropped(self, branch: Tensor) -> Tensor:
        return drop_path(branch, self.drop_path if self.training else 0.0)


def drop_path(branch: Tensor, rate: float) -> Tensor:
    """Stochastic depth of branches (B, T, C), per cloud: drop it, or scale it up."""
    if rate == 0:
        return branch
    keep = 1 - rate
    kept = torch.rand(len(branch), 1, 1, device=branch.device) < keep
    return branch * (kept / keep).to(branch.dtype)


class PointTransformer(nn.Module):
    """Tokens (B, G, C) at centres (B, G, 3) to features of every block.

    `position: every` adds the embedded centres to the input of each block, as Point-MAE does;
    `output` adds them once, to the result.
    """

    def __init__(
        self,
        *,
        width: int = 384,
        depth: int = 12,
        num_heads: int = 6,
        drop_path: float = 0.1,
        position: Literal["every", "output"] = "every",
        norm: Literal["pre", "post"] = "pre",
    ) -> None:
        super().__init__()
        self.position = position
        self.pos_embed = nn.Sequential(
            CoordinateLinear(3, POSITION_HIDDEN), nn.GELU(), nn.Linear(POSITION_HIDDEN, width)
        )
        rates = torch.linspace(0, drop_path, depth).tolist()
        self.blocks = nn.ModuleList(Block(width, num_heads, rate, norm) for rate in rates)
        self.norm = nn.LayerNorm(width)
        self.apply(init_weights)

    def forward(
        self, tokens: Tensor, centers: Tensor, lead: tuple[Tensor, Tensor] | None = None
    ) -> list[Tensor]:
        """Return what each block gives, (B, G, C) each; the last one after the final norm.

        `lead`, a token (C,) and its position (C,), is put before the others: (B, 1 + G, C).
        """
        position = self.pos_embed(centers)
        if lead is not None:
            token, place = (item.expand(len(tokens), 1, -1).to(tokens.dtype) for item in lead)
            tokens, position = torch.cat([token, tokens], 1), torch.cat([place, position], 1)
        outputs, x = [], tokens
        for block in self.blocks:
            x = block(x + position if self.position == "every" else x)
            outputs.append(x)
        if self.position == "output":
            outputs[-1] = outputs[-1] + position
        outputs[-1] = self.norm(outputs[-1])
        return outputs


def init_weights(module: nn.Module) -> None:
    """Truncated normal weights and zero biases, as Point-MAE's pre-training."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=INIT_STD)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
