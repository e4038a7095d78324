"""What is saved of an optimizer is put back where the parameter's memory has it."""

import torch
from torch import Tensor, nn

from stages.loop.tensors import load_optimizer, optimizer_tensors


def _begun(steps: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A convolution whose weights do not lie in the order of their indices."""
    torch.manual_seed(0)
    model = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    _step(model, optimizer, steps)
    return model, optimizer


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    torch.manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(2, 3, 8, 8)).square().sum().backward()
        optimizer.step()


def test_the_fused_step_goes_on_with_weights_that_lie_otherwise() -> None:
    model, optimizer = _begun(3)
    saved: dict[str, Tensor] = {
        name: value.clone(memory_format=torch.contiguous_format)
        for name, value in optimizer_tensors(optimizer).items()
    }
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    _step(model, optimizer, 2)
    again, other = _begun(0)
    again.load_state_dict(weights)
    load_optimizer(other, saved)
    _step(again, other, 2)
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
