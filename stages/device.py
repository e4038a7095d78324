"""Which device a stage runs on."""

import os

import torch


def choose_device(name: str) -> torch.device:
    """Return `auto`'s choice (CUDA if there is one), `cpu` or `cuda[:i]`.

    Under torchrun each process of a node takes the GPU of its LOCAL_RANK. Raises ValueError if
    there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"--device {name}: not to be had here: {reason}") from None
    return device
