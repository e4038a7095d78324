"""Interpolation from centres to points, beside the reference."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stages.training.networks.upsample import FeaturePropagation, interpolate
from tests.conftest import golden_files

(FILE,) = golden_files("partseg/feature_propagation.npz")
GOLDEN = np.load(FILE)
CASES = sorted({key.split("/")[0] for key in GOLDEN})


def tensor(case: str, name: str) -> torch.Tensor:
    return torch.from_numpy(GOLDEN[f"{case}/{name}"])


@pytest.mark.parametrize("case", CASES)
def test_interpolation_and_its_layers_are_the_references(case: str) -> None:
    xyz1, xyz2, features = (tensor(case, name) for name in ("xyz1", "xyz2", "points2"))
    features = features.transpose(1, 2)
    if f"{case}/interpolated_only" in GOLDEN:
        ours = interpolate(xyz1, xyz2, features)
        expected = tensor(case, "interpolated_only").transpose(1, 2)
        torch.testing.assert_close(ours, expected, atol=3e-5, rtol=1e-5)
    own = tensor(case, "points1").transpose(1, 2) if f"{case}/points1" in GOLDEN else None
    weights = sorted(
        key for key in GOLDEN if key.startswith(f"{case}/state/mlp_convs") and "weight" in key
    )
    hidden = tuple(GOLDEN[key].shape[0] for key in weights)
    module = FeaturePropagation(GOLDEN[weights[0]].shape[1], hidden).eval()
    state = {
        key.split("/")[2].replace("mlp_convs", "layers").replace("mlp_bns", "norms"): value
        for key in GOLDEN
        if key.startswith(f"{case}/state/")
        for value in [torch.from_numpy(GOLDEN[key])]
    }
    module.load_state_dict({k: v.squeeze(-1) if v.ndim == 3 else v for k, v in state.items()})
    with torch.no_grad():
        ours = module(xyz1, xyz2, own, features)
    torch.testing.assert_close(ours.transpose(1, 2), tensor(case, "out"), atol=3e-5, rtol=1e-5)


def test_a_point_on_a_centre_takes_its_feature() -> None:
    centers, features = torch.rand(1, 5, 3), torch.rand(1, 5, 4)
    torch.testing.assert_close(interpolate(centers, centers, features), features, atol=1e-5, rtol=0)
    two = interpolate(centers, centers[:, :2], features[:, :2])  # fewer centres than neighbours
    assert two.shape == (1, 5, 4)


def test_the_golden_is_there() -> None:
    assert Path(FILE).is_file()
    assert len(CASES) == 5
