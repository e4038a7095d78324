"""Folders of RGB-D frames in every layout that is known: three frames, the last one without a pose."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from stages.sources.rgbd_layouts.found import RgbdFolder
from tests.worlds.recordings import encode_color

SIZE = (24, 32)
POSES = [np.eye(4), np.array([[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1.0]]), None]
DEPTHS = [np.random.default_rng(n).integers(1, 65_535, SIZE).astype(np.uint16) for n in range(3)]
COLORS = [encode_color(np.full((*SIZE, 3), 50 * n, np.uint8)) for n in range(3)]
EXTRINSICS = np.array([[1.0, 0, 0, 0.025], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
INTRINSICS = np.array([[30.0, 0, 15], [0, 31, 12], [0, 0, 1]])


def write_seven_scenes(folder: Path) -> None:
    """`frame-*` files beside each other."""
    folder.mkdir()
    np.savetxt(folder / "camera-intrinsics.txt", INTRINSICS)
    for n in range(3):
        (folder / f"frame-{n:06d}.color.jpg").write_bytes(COLORS[n])
        cv2.imwrite(str(folder / f"frame-{n:06d}.depth.png"), DEPTHS[n])
        if POSES[n] is not None:
            np.savetxt(folder / f"frame-{n:06d}.pose.txt", POSES[n])


def write_scannet_export(folder: Path) -> None:
    """Folders, with names that are numbers without leading zeros."""
    for name in ("color", "depth", "pose", "intrinsic"):
        (folder / name).mkdir(parents=True)
    matrix = np.eye(4)
    matrix[:3, :3] = INTRINSICS
    for name in ("intrinsic_depth", "intrinsic_color"):
        np.savetxt(folder / "intrinsic" / f"{name}.txt", matrix)
    np.savetxt(folder / "intrinsic" / "extrinsic_depth.txt", EXTRINSICS)
    for n, number in enumerate((2, 9, 10)):  # ordered as numbers, not as words
        (folder / "color" / f"{number}.jpg").write_bytes(COLORS[n])
        cv2.imwrite(str(folder / "depth" / f"{number}.png"), DEPTHS[n])
        pose = np.full((4, 4), -np.inf) if POSES[n] is None else POSES[n]
        np.savetxt(folder / "pose" / f"{number}.txt", pose)


def write_tum(folder: Path) -> None:
    """Lists of times; the last depth image has no colour near it."""
    for name in ("rgb", "depth"):
        (folder / name).mkdir(parents=True)
    for n in range(3):
        (folder / "rgb" / f"{n}.jpg").write_bytes(COLORS[n])
        cv2.imwrite(str(folder / "depth" / f"{n}.png"), DEPTHS[n])
    times = [10.0, 10.5, 11.0]
    colors = [f"{t + 0.01:.4f} rgb/{n}.jpg" for n, t in enumerate(times)]
    depths = [f"{t:.4f} depth/{n}.png" for n, t in enumerate(times)]
    (folder / "rgb.txt").write_text("# color images\n" + "\n".join(colors))
    (folder / "depth.txt").write_text("\n".join([*depths, "99.0 depth/0.png"]))
    half = np.sqrt(0.5)
    truth = ["10.001 0 0 0 0 0 0 1", f"10.499 1 2 3 0 0 {half} {half}"]
    (folder / "groundtruth.txt").write_text("\n".join(truth))


def write_images(folder: Path, color: str = "color", names: Sequence[str] = ("0", "1", "2"),
                 suffix: str = ".png") -> None:  # fmt: skip
    """Folders of colour and of depth, and nothing else."""
    for name in (color, "depth"):
        (folder / name).mkdir(parents=True)
    for n, name in enumerate(names):
        (folder / color / f"{name}.jpg").write_bytes(COLORS[n])
        cv2.imwrite(str(folder / "depth" / f"{name}{suffix}"), DEPTHS[n])


def write_open3d(folder: Path) -> None:
    """Folders, a log and JSON of one camera."""
    write_images(folder, names=("00000", "00001", "00002"))
    lost = np.full((4, 4), -np.inf)
    with open(folder / "trajectory.log", "w") as file:
        for n, pose in enumerate(POSES):
            file.write(f"{n} {n} {n + 1}\n")
            np.savetxt(file, lost if pose is None else pose)
    camera = {"width": 32, "height": 24, "intrinsic_matrix": INTRINSICS.T.ravel().tolist()}
    (folder / "camera_primesense.json").write_text(json.dumps(camera))


def write_sens_tool(folder: Path) -> None:
    """As ScanNet's own program writes a `.sens` to a folder."""
    write_seven_scenes(folder)
    (folder / "camera-intrinsics.txt").unlink()
    for n in range(3):
        (folder / f"frame-{n:06d}.depth.png").unlink()
        cv2.imwrite(str(folder / f"frame-{n:06d}.depth.pgm"), DEPTHS[n])
    matrix = "30 0 15 0 0 31 12 0 0 0 1 0 0 0 0 1"
    extrinsics = " ".join(map(str, EXTRINSICS.ravel()))
    (folder / "_info.txt").write_text(
        f"m_depthShift = 1000\nm_calibrationColorIntrinsic = {matrix} \n"
        f"m_calibrationDepthIntrinsic = {matrix}\nm_calibrationDepthExtrinsic = {extrinsics}\n"
    )


def quaternions(keys: Sequence[str] = ("", "", "")) -> str:
    """The poses as a list with a line a frame, the last one lost."""
    half = np.sqrt(0.5)
    rows = ["0 0 0 0 0 0 1", f"1 2 3 0 0 {half} {half}", "nan nan nan nan nan nan nan"]
    return "".join(f"{key} {row}\n" for key, row in zip(keys, rows, strict=True))


def write_pose_list(folder: Path) -> None:
    write_images(folder, color="rgb", suffix=".pgm")
    (folder / "camera-intrinsics.txt").write_text("30 0 15\n0 31 12\n0 0 1\n")
    (folder / "pose.txt").write_text(quaternions())


def check_poses(found: RgbdFolder, valid: Sequence[int] = (0, 1)) -> None:
    """The frames that are `valid` have their poses, the others none."""
    for n, frame in enumerate(found.frames):
        if n in valid:
            np.testing.assert_allclose(frame.pose, POSES[n], atol=1e-6)
    assert found.num_poses == len(valid)
