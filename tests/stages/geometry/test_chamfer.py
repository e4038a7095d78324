"""Chamfer distance: the reference's values, neighbours and gradients."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.geometry.chamfer import chamfer_distance, chamfer_loss, nearest_pairs
from tests.conftest import golden_files

(GOLDEN,) = golden_files("chamfer/chamfer.npz")
META = json.loads((Path(__file__).parents[2] / "golden" / "chamfer" / "meta.json").read_text())
CASES = sorted({name.partition("/")[0] for name in np.load(GOLDEN).files})


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_references(case: str) -> None:
    golden, about = np.load(GOLDEN), META["cases"][case]
    first, second = (torch.from_numpy(golden[f"{case}/{name}"]) for name in ("xyz1", "xyz2"))
    forth, back = nearest_pairs(first, second)
    np.testing.assert_array_equal(forth, golden[f"{case}/idx1"])
    np.testing.assert_array_equal(back, golden[f"{case}/idx2"])
    for kind in ("l2", "l1"):
        first.grad = second.grad = None
        loss = chamfer_loss(first.requires_grad_(), second.requires_grad_(), kind)
        assert loss.item() == pytest.approx(about[kind.upper()], rel=1e-5, abs=1e-12)
        loss.backward()
        if not about["unique_nearest"]:
            continue
        for number, points in enumerate((first, second), start=1):
            assert points.grad.isfinite().all()
            theirs = golden[f"{case}/{kind.upper()}_grad{number}"]
            if np.isnan(theirs).any():  # where points coincide; ours has no slope there
                continue
            limit = 1e-4 * max(np.abs(theirs).max(), 1e-12)
            np.testing.assert_allclose(points.grad, theirs, atol=limit)
    if f"{case}/L2_split" in golden:
        ways = chamfer_distance(first, second)
        found = [way.item() for way in ways]
        np.testing.assert_allclose(found, golden[f"{case}/L2_split"], rtol=1e-5)


def test_it_is_in_float32_whatever_autocast_says() -> None:
    first, second = torch.rand(2, 8, 3) + 100, torch.rand(2, 8, 3) + 100
    plain = chamfer_loss(first, second)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(chamfer_loss(first, second), plain)
