"""Drawing, normalising and augmenting points."""

import numpy as np
import pytest
import torch

from stages.geometry.normalise import frame_of, normalise
from stages.loop.random_numbers import plain_draws
from stages.training.augment import draw_points, scale_and_translate
from stages.training.augmentation import SCALE, TRANSLATION
from tests.conftest import golden_files

CPU = torch.device("cpu")


def test_drawn_points_are_distinct_and_anew_each_time() -> None:
    stored = torch.arange(100.0)[None, :, None].expand(2, 100, 3)
    draws = plain_draws(0, 2, CPU)
    first, second = (draw_points(stored, 40, draws) for _ in range(2))
    assert first.shape == (2, 40, 3)
    for cloud in first:
        assert len(set(cloud[:, 0].tolist())) == 40
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, second)
    with pytest.raises(ValueError, match="101 points asked for, 100 are stored"):
        draw_points(stored, 101, draws)


def test_draws_are_even() -> None:
    stored = torch.arange(10.0)[None, :, None].expand(4000, 10, 3)
    drawn = draw_points(stored, 3, plain_draws(0, 4000, CPU))[..., 0].long()
    share = torch.bincount(drawn.flatten(), minlength=10) / 4000
    torch.testing.assert_close(share, torch.full((10,), 0.3), atol=0.03, rtol=0)


def test_only_wanted_points_are_drawn_and_repeated_where_few() -> None:
    stored = torch.arange(20.0)[None, :, None].expand(3, 20, 3)
    wanted = torch.zeros(3, 20, dtype=torch.bool)
    wanted[0, 5:15], wanted[1, 3:5] = True, True
    many, few, none = draw_points(stored, 6, plain_draws(0, 3, CPU), wanted=wanted)[..., 0]
    assert len(set(many.tolist())) == 6
    assert set(many.tolist()) <= set(range(5, 15))
    assert sorted(few.tolist()) == [3, 3, 3, 4, 4, 4]
    assert len(set(none.tolist())) == 6  # nothing wanted: taken whole


def test_normalised_clouds() -> None:
    points = torch.rand(3, 50, 3) * 4 + 7
    sphere = normalise(points, "unit_sphere")
    torch.testing.assert_close(sphere.mean(dim=1), torch.zeros(3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(sphere.norm(dim=-1).amax(dim=1), torch.ones(3))
    assert torch.equal(normalise(points, "metric"), points)
    torch.testing.assert_close(normalise(points, "center"), points - points.mean(1, keepdim=True))
    assert normalise(torch.ones(1, 5, 3), "unit_sphere").abs().max() == 0  # one point, repeated
    for how in ("unit_sphere", "center", "metric"):
        middle, radius = frame_of(points, how)
        torch.testing.assert_close(normalise(points, how) * radius + middle, points)


def test_scales_and_shifts_stay_in_range_a_cloud_and_axis_each() -> None:
    points = torch.ones(2000, 2, 3)
    points[:, 1] = 2
    moved = scale_and_translate(
        points, plain_draws(0, 2000, CPU), scale=SCALE, translation=TRANSLATION
    )
    scale, shift = moved[:, 1] - moved[:, 0], 2 * moved[:, 0] - moved[:, 1]
    assert scale.min() >= SCALE[0] - 1e-5
    assert scale.max() <= SCALE[1] + 1e-5
    assert shift.abs().max() <= 0.2 + 1e-5
    assert abs(scale.mean() - (2 / 3 + 3 / 2) / 2) < 0.02
    assert (scale[:, 0] != scale[:, 1]).all()


def test_the_reference_scales_then_shifts() -> None:
    for file in golden_files("voting/augment.npz"):
        golden = np.load(file)
        key = "ScaleAndTranslate"
        scale, shift = golden[f"{key}/scale"][:, None], golden[f"{key}/translate"][:, None]
        ours = golden[f"{key}/in"] * scale.astype(np.float32) + shift.astype(np.float32)
        np.testing.assert_allclose(ours, golden[f"{key}/out"], atol=1e-6)
        assert scale.min() >= SCALE[0]
        assert scale.max() <= SCALE[1]
