"""Which device a stage runs on."""

import torch

from stages.machine.shares import local_rank


def choose_device(name: str) -> torch.device:
    """Return `auto`'s choice (CUDA if there is one), `cpu` or `cuda[:i]`, which becomes the current one.

    Under torchrun each process of a node takes the GPU of its LOCAL_RANK. Raises ValueError if
    there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    own = local_rank()
    if name == "cuda" and own is not None:
        name = f"cuda:{own}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"--device {name}: not to be had here: {reason}") from None
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # where Triton launches its kernels, wherever the tensors are
    return device


def autocast_dtype(device: torch.device, precision: str) -> torch.dtype | None:
    """Return the type of mixed precision, None for plain float32.

    `auto` takes bfloat16 where the device has units for it: it is slower than float32 elsewhere.
    """
    if precision != "auto":
        return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else None
    has_units = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if has_units else None
