"""Clouds of every kind of file, and what is said of those that cannot be read."""

from pathlib import Path

import numpy as np
import pytest

from stages.sharing.clouds import SURFACE_POINTS, read_cloud
from tests.worlds.recordings import write_recording

POINTS = np.array([[0.0, 0, 0], [1, 0, 0], [1, 2, 0], [0, 2, 3]])
FACES = "3 0 1 2\n3 0 2 3\n"


def test_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.concatenate([POINTS, POINTS + 9], axis=1))  # colours behind
    np.testing.assert_array_equal(read_cloud(tmp_path / "a.npy"), POINTS)
    broken = POINTS.copy()
    broken[1, 1] = np.nan
    np.save(tmp_path / "b.npy", broken)
    assert read_cloud(tmp_path / "b.npy").shape == (3, 3)


def test_points_of_a_ply_and_the_surface_of_a_mesh(tmp_path: Path) -> None:
    lines = "\n".join(" ".join(map(str, point)) for point in POINTS)
    header = "ply\nformat ascii 1.0\nelement vertex 4\n" + "".join(
        f"property float {axis}\n" for axis in "xyz"
    )
    (tmp_path / "points.ply").write_text(f"{header}end_header\n{lines}\n")
    np.testing.assert_array_equal(read_cloud(tmp_path / "points.ply"), POINTS)
    faces = "element face 2\nproperty list uchar int vertex_indices\n"
    (tmp_path / "mesh.ply").write_text(f"{header}{faces}end_header\n{lines}\n{FACES}")
    (tmp_path / "mesh.off").write_text(f"OFF4 2 0\n{lines}\n{FACES}")
    for name in ("mesh.ply", "mesh.off"):
        first, again = (read_cloud(tmp_path / name, seed=seed) for seed in (0, 0))
        assert first.shape == (SURFACE_POINTS, 3)
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, read_cloud(tmp_path / name, seed=1))
        assert (first[:, 2] >= 0).all()
        assert first[:, 2].max() == pytest.approx(3, abs=0.2)


def test_las_and_pcd(tmp_path: Path) -> None:
    import laspy
    import pypcd4

    las = laspy.create()
    las.header.scales = [0.001] * 3
    las.xyz = POINTS
    las.write(tmp_path / "a.las")
    np.testing.assert_allclose(read_cloud(tmp_path / "a.las"), POINTS, atol=1e-6)
    pypcd4.PointCloud.from_xyz_points(POINTS.astype(np.float32)).save(tmp_path / "a.pcd")
    np.testing.assert_array_equal(read_cloud(tmp_path / "a.pcd"), POINTS)


def test_a_frame_of_a_recording(tmp_path: Path) -> None:
    write_recording(tmp_path / "a.sens", seed=0, num_frames=3)
    first, other = (read_cloud(f"{tmp_path}/a.sens:{index}") for index in (0, 2))
    assert first.shape[1] == 3
    assert (first[:, 2] > 0).all()
    assert not np.array_equal(first[:100], other[:100])
    with pytest.raises(ValueError, match=r"a\.sens: has no frame 3, it has 3 from 0 on"):
        read_cloud(f"{tmp_path}/a.sens:3")
    with pytest.raises(ValueError, match=r"which frame\? Name one as .*a\.sens:0"):
        read_cloud(tmp_path / "a.sens")


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("a.npy", b"no array", "not an array of numbers"),
        ("a.ply", b"ply of nothing", "cannot be read as ply"),
        ("a.off", b"OFF 1", "not a whole OFF mesh"),
        ("a.las", b"LASF", "cannot be read as LAS"),
        ("a.pcd", b"# .PCD", "cannot be read as PCD"),
        ("a.xyz", b"1 2 3", r"\.xyz: not a known kind; known are \.npy"),
        ("cloud", b"1 2 3", "no suffix: not a known kind"),
    ],
)
def test_what_cannot_be_read_is_said(
    tmp_path: Path, name: str, contents: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(ValueError, match=message) as told:
        read_cloud(tmp_path / name)
    assert str(tmp_path / name) in str(told.value)


def test_arrays_that_are_no_clouds(tmp_path: Path) -> None:
    for number, (values, message) in enumerate(
        (
            (np.zeros((4, 2)), r"expected points \(P, 3\), found \(4, 2\)"),
            (np.full((2, 3), np.nan), "no point in it"),
            (np.array(["a"]), "expected an array of numbers"),
        )
    ):
        np.save(tmp_path / f"{number}.npy", values)
        with pytest.raises(ValueError, match=message):
            read_cloud(tmp_path / f"{number}.npy")
    with pytest.raises(ValueError, match="no such file"):
        read_cloud(tmp_path / "nowhere.npy")


def test_a_kind_whose_package_is_missing_names_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.las").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "laspy", None)
    with pytest.raises(ImportError, match=r"laspy is not installed.*pip install -e '\.\[clouds\]'"):
        read_cloud(tmp_path / "a.las")
