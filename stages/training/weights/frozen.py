"""Frozen backbones: of a checkpoint, or with random weights for a control."""

from collections.abc import Iterable

import torch
from torch import Tensor

from stages.loop.batch_norm import BatchNorm1d
from stages.training.networks.encoder import PointEncoder
from stages.training.networks.shapes import EncoderShape
from stages.training.weights.first_weights import apply_initial, load_initial


def load_encoder(source: str, wanted: EncoderShape, seed: int = 0) -> PointEncoder:
    """The frozen encoder of a checkpoint (see `first_weights.load_initial`), or a random one.

    Raises ValueError if there is none in it.
    """
    torch.manual_seed(seed)
    initial = load_initial(source)
    holder = torch.nn.Module()
    holder.encoder = PointEncoder(initial.shape(wanted))
    apply_initial(holder, initial)
    encoder = holder.encoder
    assert isinstance(encoder, PointEncoder)
    return encoder.eval()


@torch.no_grad()
def settle_norms(encoder: PointEncoder, clouds: Iterable[Tensor]) -> None:
    """Let the norms of random weights see clouds (B, N, 3): a control that is not handicapped.

    Their running statistics begin at 0 and 1, which is far from what any weights make of a cloud.
    """
    norms = [module for module in encoder.modules() if isinstance(module, BatchNorm1d)]
    for norm in norms:
        norm.train()
    for points in clouds:
        encoder(points)
    encoder.eval()
