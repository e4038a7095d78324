"""The Triton kernel under Triton's interpreter, beside the torch path and the golden indices."""

import os
import subprocess
import sys

import pytest
import torch

from tests.conftest import REPOSITORY

PROGRAM = """
import json, numpy as np, torch
from stages.geometry import fps_triton
from stages.geometry.pointops import NEAR_ORIGIN, farthest_point_sample

arrays = np.load("tests/golden/fps_knn/fps_knn.npz")
cases = json.load(open("tests/golden/fps_knn/meta.json"))["cases"]
compared = 0
for on_chip in (16384, 16):  # the second sends every cloud through the chunks
    fps_triton.MAX_ON_CHIP, fps_triton.CHUNK = on_chip, 64
    for name, facts in cases.items():
        points = torch.from_numpy(arrays[f"{name}/points"])
        count = min(12, arrays[f"{name}/fps_idx"].shape[1])
        ours = fps_triton.farthest_point_sample_triton(points, count, NEAR_ORIGIN)
        assert torch.equal(ours, farthest_point_sample(points, count)), name
        if facts["check"].startswith("fps_idx exactly"):
            expected = torch.from_numpy(arrays[f"{name}/fps_idx"]).long()[:, :count]
            assert torch.equal(ours, expected), name
            compared += 1
        without = fps_triton.farthest_point_sample_triton(points, 5, -1.0)
        assert torch.equal(without, farthest_point_sample(points, 5, near_origin_rule=False)), name
print("compared", compared)
"""


def test_the_kernel_in_the_interpreter() -> None:
    pytest.importorskip("triton")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=REPOSITORY, capture_output=True, text=True,
        env={**os.environ, "TRITON_INTERPRET": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) >= 8


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize(("num_points", "count"), [(4096, 64), (8192, 256), (40_000, 2048)])
def test_the_kernel_on_a_gpu(num_points: int, count: int) -> None:
    from stages.geometry.pointops import farthest_point_sample

    points = torch.randn(3, num_points, 3, generator=torch.Generator().manual_seed(0))
    on_gpu = farthest_point_sample(points.cuda(), count).cpu()
    assert torch.equal(on_gpu, farthest_point_sample(points, count))
