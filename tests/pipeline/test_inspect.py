"""`inspect` as a user runs it: what it says, and what it notices."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from cache.captions import CaptionedImage, write_captions
from cache.card import Card
from stages.sources.sens import SensReader
from tests.pipeline.test_cli import Shell, distill3d, one_line
from tests.worlds.recordings import encode_color, write_recording

__all__ = ["distill3d"]


def test_inspect_verify_reads_payloads(distill3d: Shell, tmp_path: Path) -> None:
    path = tmp_path / "a.sens"
    write_recording(path, seed=0, num_frames=2)
    with SensReader(path) as sens:
        last = list(sens.walk())[-1]
    data = bytearray(path.read_bytes())
    data[last.offset + last.color_bytes + 5] ^= 0xFF
    path.write_bytes(data)
    assert distill3d("inspect", path)[0] == 0
    code, out, _ = distill3d("inspect", path, "--verify")
    assert (code, "1 corrupt_depth" in out) == (1, True)


@pytest.mark.parametrize(
    ("depth_mm", "message"), [(0, "behind the camera"), (21_000, "beyond max")]
)
def test_inspect_verify_checks_points(
    distill3d: Shell, tmp_path: Path, depth_mm: int, message: str
) -> None:
    path, root = tmp_path / "a.sens", tmp_path / "out"
    write_recording(path, seed=0, num_frames=1)
    distill3d("extract", path, "--workspace", root, "--workers", 1)
    array = zarr.open_array(root / "points.zarr" / "a", mode="r+")
    array[0, 0, 2] = depth_mm
    code, out, _ = distill3d("inspect", root, "--verify")
    assert (code, message in out) == (1, True)


def test_inspect_a_recording(distill3d: Shell, tmp_path: Path) -> None:
    path = tmp_path / "a.sens"
    write_recording(path, seed=0, num_frames=12)
    code, out, _ = distill3d("inspect", path, "--verify")
    assert code == 0
    for part in ("320 x 240 jpeg", "160 x 120 zlib_ushort", "1000 units per metre",
                 "12 whole of 12, 1 poses lost", "first pose", "0 IMU frames, 0 bytes",
                 "all of it read"):  # fmt: skip
        assert part in out
    path.write_bytes(path.read_bytes()[:-5_000])
    code, out, err = distill3d("inspect", path)
    assert code == 1
    assert "11 whole of 12" in out
    assert "frame 11 of 12: needs bytes up to" in out
    assert "not whole" in one_line(err)


def test_a_truncated_recording_stays_named(distill3d: Shell, tmp_path: Path) -> None:
    path = tmp_path / "a.sens"
    write_recording(path, seed=0, num_frames=3)
    path.write_bytes(path.read_bytes()[:-2_000])
    words = ("extract", path, "--workspace", tmp_path / "out", "--workers", 1)
    code, out, _ = distill3d(*words)
    assert (code, "not whole: a: frame 2 of 3" in out) == (0, True)
    assert distill3d(*words, "--strict")[0] == 1
    code, out, _ = distill3d("inspect", tmp_path / "out")
    assert (code, "its .sens was not whole" in out) == (1, True)


def test_inspect_finds_damage(distill3d: Shell, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_recording(tmp_path / f"{name}.sens", seed=1, num_frames=2)
    root = tmp_path / "out"
    files = [tmp_path / f"{name}.sens" for name in ("a", "b", "c")]
    distill3d("extract", *files, "--workspace", root, "--workers", 1)
    assert distill3d("inspect", root)[0] == 0
    assert distill3d("inspect", root / "points.zarr" / "a", "--verify", "--sens", files[0])[0] == 0

    write_recording(files[0], seed=2, num_frames=2)
    code, out, _ = distill3d(
        "inspect", root / "frames" / "a.parquet", "--verify", "--sens", files[0]
    )
    assert (code, "other frame headers" in out) == (1, True)

    chunk = next(path for path in (root / "points.zarr" / "a" / "c").rglob("*") if path.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"x")
    shutil.copy(root / "frames" / "a.parquet", root / "frames" / "b.parquet")
    (root / "frames" / "c.parquet").unlink()
    (root / "points.zarr" / "half").mkdir()
    code, out, _ = distill3d("inspect", root, "--verify")
    assert code == 1
    assert "checksum" in out
    assert "are not of the same run" in out
    assert "c.parquet is missing" in out
    assert "half is missing or incomplete" in out


def test_inspect_what_it_does_not_know(distill3d: Shell, tmp_path: Path) -> None:
    code, _, err = distill3d("inspect", tmp_path / "x")
    assert (code, "nothing there" in one_line(err)) == (2, True)
    os.mkfifo(tmp_path / "pipe.sens")
    code, _, err = distill3d("inspect", tmp_path / "pipe.sens")
    assert (code, "neither a file nor a folder" in one_line(err)) == (2, True)
    code, _, err = distill3d("inspect", tmp_path)
    assert (code, "expected a .sens, a workspace" in one_line(err)) == (2, True)
    (tmp_path / "points.zarr").mkdir()
    code, out, _ = distill3d("inspect", tmp_path)
    assert (code, "no scene is extracted here" in out) == (1, True)


def test_inspect_compares_one_scene_with_its_recording(distill3d: Shell, tmp_path: Path) -> None:
    path = tmp_path / "A.SENS"
    write_recording(path, seed=0, num_frames=2)
    assert distill3d("inspect", path)[0] == 0
    assert distill3d("extract", tmp_path, "--workspace", tmp_path, "--workers", 1)[0] == 0
    code, _, err = distill3d("inspect", tmp_path / "points.zarr" / "A", "--sens", path)
    assert (code, "give both" in one_line(err)) == (2, True)
    code, _, err = distill3d("inspect", tmp_path, "--verify", "--sens", path)
    assert (code, "compares with one scene" in one_line(err)) == (2, True)


def test_inspect_captions(distill3d: Shell, tmp_path: Path) -> None:
    image = encode_color(np.zeros((4, 4, 3), np.uint8))
    items = [CaptionedImage(image, ("a", "b"), "scene", i, "train") for i in range(3)]
    file = tmp_path / "captions.parquet"
    write_captions(file, items, Card("sample world", 1, {"seed": 0}, {}))
    code, out, _ = distill3d("inspect", tmp_path)
    assert (code, "3 images (3 train), 6 captions" in out) == (0, True)
    file.write_bytes(file.read_bytes()[:-9])
    code, _, err = distill3d("inspect", file)
    assert (code, "captions.parquet: cannot be read" in one_line(err)) == (1, True)


def test_contact_sheet_of_what_is_damaged(distill3d: Shell, tmp_path: Path) -> None:
    path = tmp_path / "a.sens"
    write_recording(path, seed=0, num_frames=2)
    distill3d("extract", path, "--workspace", tmp_path, "--workers", 1)
    (tmp_path / "frames" / "a.parquet").unlink()
    code, _, err = distill3d("contact-sheet", "--workspace", tmp_path)
    assert (code, "a.parquet is missing; run extract again" in one_line(err)) == (1, True)
