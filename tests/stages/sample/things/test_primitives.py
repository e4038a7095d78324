"""Primitive meshes: closed, facing outwards, and of the size that was asked for."""

import numpy as np
import pytest

from stages.geometry.meshes import Mesh, areas, normals, sample_surface
from stages.sample.things.primitives import (
    box,
    cylinder,
    ellipsoid,
    merged,
    rotation,
    sheet,
    subdivided,
)


def volume(mesh: Mesh) -> float:
    """Signed volume inside a closed mesh: positive if its triangles face outwards."""
    a, b, c = np.moveaxis(mesh.triangles, 1, 0)
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


@pytest.mark.parametrize(
    ("mesh", "expected"),
    [
        (box((2, 3, 4), (5, 6, 7)), 24),
        (box((2, 2, 3), top=0.5), 7),  # a frustum: h/3 (A + B + sqrt(AB))
        (cylinder(1, 2, (3, 0, 1), sides=400), 2 * np.pi),
        (cylinder(2, 3, top=0.5, sides=400), np.pi * (4 + 2 + 1)),
        (ellipsoid((1, 2, 3), (1, 1, 1), sides=200), 8 * np.pi),
    ],
)
def test_volumes(mesh: Mesh, expected: float) -> None:
    assert volume(mesh) == pytest.approx(expected, rel=2e-3)


def test_a_box_stands_on_its_place() -> None:
    vertices = box((2, 4, 6), (1, 1, 1)).vertices
    np.testing.assert_allclose(vertices.min(0), (0, -1, 1))
    np.testing.assert_allclose(vertices.max(0), (2, 3, 7))


def test_a_sheet_is_seen_from_both_sides() -> None:
    facing = normals(sheet(1, 2))
    assert set(np.round(facing[:, 1]).astype(int)) == {-1, 1}


@pytest.mark.parametrize(
    "mesh", [box((2, 0.01, 1)), cylinder(1, 2), sheet(1, 2, folds=3, depth=0.1)]
)
def test_subdivision_keeps_the_surface(mesh: Mesh) -> None:
    fine = subdivided(mesh, 0.1)
    edges = np.linalg.norm(fine.triangles - np.roll(fine.triangles, -1, axis=1), axis=2)
    assert edges.max() <= 0.1 + 1e-3
    assert areas(fine).sum() == pytest.approx(areas(mesh).sum(), rel=1e-3)
    assert len(fine.vertices) < len(fine.faces)  # coincident corners were joined


def test_samples_lie_on_the_surface_evenly() -> None:
    mesh = merged([box((1, 1, 1)), box((1, 1, 1), (5, 0, 0))])
    points, face = sample_surface(mesh, 20_000, np.random.default_rng(0))
    inside = np.abs(np.minimum(np.abs(points[:, 0]), np.abs(points[:, 0] - 5))) <= 0.5 + 1e-9
    assert inside.all()
    counts = np.bincount(face, minlength=24)
    assert np.abs(counts - 20_000 / 24).max() < 5 * np.sqrt(20_000 / 24)


def test_rotations_turn_the_right_way() -> None:
    np.testing.assert_allclose(rotation("z", 90)[:3, :3] @ (1, 0, 0), (0, 1, 0), atol=1e-12)
    np.testing.assert_allclose(rotation("x", 90)[:3, :3] @ (0, 1, 0), (0, 0, 1), atol=1e-12)
    np.testing.assert_allclose(rotation("y", 90)[:3, :3] @ (0, 0, 1), (1, 0, 0), atol=1e-12)
