"""PLY meshes: in any encoding, written and read back, and files that are none."""

from pathlib import Path

import numpy as np
import plyfile
import pytest

from stages.sources.ply import read_mesh_ply, write_mesh_ply

VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 1.5, 0], [0, 0, 2]], np.float32)
COLORS = np.arange(12, dtype=np.uint8).reshape(4, 3)
FACES = np.array([[0, 1, 2], [1, 2, 3]])


@pytest.mark.parametrize("encoding", ["ascii", "<", ">"])
def test_all_encodings(tmp_path: Path, encoding: str) -> None:
    vertex = np.empty(4, [*((n, "f4") for n in "xyz"), *((n, "u1") for n in ("red", "green", "blue")),
                          ("label", "u2")])  # fmt: skip
    for axis, name in enumerate("xyz"):
        vertex[name] = VERTICES[:, axis]
    for channel, name in enumerate(("red", "green", "blue")):
        vertex[name] = COLORS[:, channel]
    vertex["label"] = [5, 0, 40, 1]
    face = np.empty(2, [("vertex_indices", "i4", (3,))])
    face["vertex_indices"] = FACES
    data = plyfile.PlyData(
        [plyfile.PlyElement.describe(vertex, "vertex"), plyfile.PlyElement.describe(face, "face")],
        text=encoding == "ascii", byte_order="=" if encoding == "ascii" else encoding,
    )  # fmt: skip
    data.write(str(tmp_path / "a.ply"))
    mesh = read_mesh_ply(tmp_path / "a.ply")
    np.testing.assert_array_equal(mesh.vertices, VERTICES)
    np.testing.assert_array_equal(mesh.colors, COLORS)
    np.testing.assert_array_equal(mesh.faces, FACES)
    np.testing.assert_array_equal(mesh.labels, [5, 0, 40, 1])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_mesh_ply(tmp_path / "a.ply", VERTICES, COLORS, FACES)
    mesh = read_mesh_ply(tmp_path / "a.ply")
    assert mesh.labels is None
    np.testing.assert_array_equal(mesh.faces, FACES)
    read = plyfile.PlyData.read(str(tmp_path / "a.ply"))
    np.testing.assert_array_equal(read["vertex"]["y"], VERTICES[:, 1])
    np.testing.assert_array_equal(np.vstack(read["face"]["vertex_indices"]), FACES)


def test_what_is_no_mesh_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    with pytest.raises(ValueError, match=r"a.ply: no such file"):
        read_mesh_ply(path)
    write_mesh_ply(path, VERTICES, COLORS, FACES)
    whole = path.read_bytes()
    for bad in (
        b"",
        b"ply\n",
        whole[:-5],
        whole[:200],
        whole.replace(b"element vertex 4", b"element vertex 4000000000"),
        whole.replace(b"property uchar red", b"property uchar rad"),
        whole[:-4] + (9).to_bytes(4, "little"),
    ):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=r"a.ply: (not a coloured|a triangle names no vertex)"):
            read_mesh_ply(path)
