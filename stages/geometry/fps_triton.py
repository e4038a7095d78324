"""Farthest point sampling as a Triton kernel: one program a cloud, no host loop.

Imported only where there is a GPU, or by tests under Triton's interpreter.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

# A program's distances stay in its registers up to here; above, in a scratch buffer.
MAX_ON_CHIP = 16_384
CHUNK = 8_192


@triton.jit
def _on_chip(points, chosen, num_points, num_samples, near_origin,
             BLOCK: tl.constexpr):  # fmt: skip
    cloud = tl.program_id(0)
    row = tl.arange(0, BLOCK)
    inside = row < num_points
    base = points + cloud * num_points * 3
    x = tl.load(base + row * 3, mask=inside, other=0.0)
    y = tl.load(base + row * 3 + 1, mask=inside, other=0.0)
    z = tl.load(base + row * 3 + 2, mask=inside, other=0.0)
    candidate = inside & (x * x + y * y + z * z > near_origin)
    nearest = tl.where(candidate, float("inf"), -1.0)
    last = 0
    tl.store(chosen + cloud * num_samples, 0)
    for step in range(1, num_samples):
        dx = x - tl.load(base + last * 3)
        dy = y - tl.load(base + last * 3 + 1)
        dz = z - tl.load(base + last * 3 + 2)
        nearest = tl.minimum(nearest, dx * dx + dy * dy + dz * dz)
        last = tl.argmax(nearest, axis=0)
        tl.store(chosen + cloud * num_samples + step, last)


@triton.jit
def _in_chunks(points, scratch, chosen, num_points, num_samples, near_origin,
               BLOCK: tl.constexpr):  # fmt: skip
    cloud = tl.program_id(0)
    base = points + cloud * num_points * 3
    nearest_of = scratch + cloud * num_points
    last = 0
    tl.store(chosen + cloud * num_samples, 0)
    for step in range(1, num_samples):
        last_x = tl.load(base + last * 3)
        last_y = tl.load(base + last * 3 + 1)
        last_z = tl.load(base + last * 3 + 2)
        best = -2.0
        for start in range(0, num_points, BLOCK):
            row = start + tl.arange(0, BLOCK)
            inside = row < num_points
            x = tl.load(base + row * 3, mask=inside, other=0.0)
            y = tl.load(base + row * 3 + 1, mask=inside, other=0.0)
            z = tl.load(base + row * 3 + 2, mask=inside, other=0.0)
            before = tl.load(nearest_of + row, mask=inside, other=-1.0)
            candidate = inside & (x * x + y * y + z * z > near_origin)
            before = tl.where(candidate, before, -1.0)
            dx, dy, dz = x - last_x, y - last_y, z - last_z
            nearest = tl.minimum(before, dx * dx + dy * dy + dz * dz)
            tl.store(nearest_of + row, nearest, mask=inside)
            most = tl.max(nearest, axis=0)
            where = start + tl.argmax(nearest, axis=0)
            last = tl.where(most > best, where, last)
            best = tl.maximum(best, most)
        tl.store(chosen + cloud * num_samples + step, last)


def farthest_point_sample_triton(points: Tensor, num_samples: int, near_origin: float) -> Tensor:
    """Return indices (B, M) of points (B, N, 3); see `pointops.farthest_point_sample`.

    Points whose squared norm is not above `near_origin` are never chosen; -1 leaves the rule out.
    """
    points = points.float().contiguous()
    batch, num_points, _ = points.shape
    chosen = torch.empty(batch, num_samples, dtype=torch.long, device=points.device)
    if num_points <= MAX_ON_CHIP:
        block = max(64, triton.next_power_of_2(num_points))
        warps = min(16, max(4, block // 512))
        _on_chip[(batch,)](
            points, chosen, num_points, num_samples, near_origin, BLOCK=block, num_warps=warps
        )
    else:
        scratch = torch.full((batch, num_points), torch.inf, device=points.device)
        _in_chunks[(batch,)](
            points, scratch, chosen, num_points, num_samples, near_origin, BLOCK=CHUNK, num_warps=16
        )
    return chosen
