"""The command line as a user meets it: exit codes, one-line errors, and what it prints."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from pipeline import cli
from pipeline.commands.options import exit_if_stopped
from stages.loop.loop import Outcome
from tests.conftest import REPOSITORY
from tests.harness.running import start
from tests.worlds.recordings import write_recording
from tests.worlds.rgbd_folders import write_images, write_open3d, write_seven_scenes


class Shell:
    """Runs `distill3d` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capsys, self._patch = capsys, patch

    def __call__(self, *words: object) -> tuple[int, str, str]:
        self._patch.setattr(sys, "argv", ["distill3d", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        code = end.value.code
        out, err = self._capsys.readouterr()
        return int(code or 0), out, err


@pytest.fixture
def distill3d(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


def one_line(text: str) -> str:
    assert len(text.splitlines()) == 1, text
    return text


def test_help_imports_no_stage() -> None:
    program = (
        "import sys; sys.argv = ['distill3d', '--help']\n"
        "from pipeline.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'open3d', 'torch', 'zarr', 'pyarrow', 'pandas', 'cv2', 'numpy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    for command in ("extract", "pack-sens", "inspect", "contact-sheet"):
        assert command in done.stdout


def test_extract_inspect_and_draw(distill3d: Shell, scannet: Path, tmp_path: Path) -> None:
    common = ("--workspace", tmp_path, "--set", "extract.stride_frames=5")
    code, out, err = distill3d("extract", "--scannet", scannet, "--workers", 1, *common)
    assert code == 0, err
    assert "4 scenes, " in out
    assert "train: its list has 3, ScanNetV2's own 1201" in out
    assert "4 scenes extracted, 0 complete before, 0 failed" in out
    assert "16 kept, 4 rejected: 4 too_few_valid_pixels" in out

    code, out, _ = distill3d("extract", "--scannet", scannet, "--workers", 1, *common)
    assert (code, "0 scenes extracted, 4 complete before" in out) == (0, True)

    code, out, _ = distill3d("extract", "--scannet", scannet, "--strict", *common)
    assert code == 1

    code, out, _ = distill3d("inspect", tmp_path, "--verify")
    assert code == 0
    assert "3 train, 1 val" in out
    assert "stride_frames 5" in out

    code, out, _ = distill3d("contact-sheet", "--workspace", tmp_path, "--num-frames", 2)
    assert code == 0
    assert len(out.split()) == 2
    assert all(Path(line).stat().st_size > 10_000 for line in out.split())

    code, _, err = distill3d("extract", "--scannet", scannet, "--workspace", tmp_path)
    assert code == 2
    assert "stride_frames: 5 there, 25 asked" in one_line(err)


def test_without_scannet(distill3d: Shell, tmp_path: Path) -> None:
    code, _, err = distill3d("extract", "--scannet", tmp_path / "none", "--workspace", tmp_path)
    assert code == 2
    assert "no ScanNet here" in one_line(err)
    assert not (tmp_path / "points.zarr").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--shard", "3/3"), "--shard 3/3: expected I/N with I from 0"),
        (("--shard", "x"), "--shard x: expected I/N"),
        (("--config", "papr"), "papr: no such configuration file"),
        (
            ("--set", "extract.sed=1"),
            "--set extract.sed=1: unknown key extract.sed; did you mean extract.seed?",
        ),
        (("--split", "trian"), "--split trian: expected one of train, val, test"),
        (("--split", "val"), "extract.splits=[val]"),
        (("--set", "extract.splits=[]"), "--set extract.splits=[]: extract.splits = []"),
        (("nowhere.sens",), "nowhere.sens: no such file"),
        (("/dev/null",), "/dev/null: is neither a file nor a folder"),
        (("--workspace", "/dev/null"), "--workspace /dev/null: it is a file"),
    ],
)
def test_wrong_usage_is_exit_2(
    distill3d: Shell, scannet: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    code, _, err = distill3d("extract", "--scannet", scannet, "--workspace", tmp_path, *words)
    assert code == 2
    assert message in one_line(err)
    assert list(tmp_path.iterdir()) == []


def test_unknown_options_are_exit_2(distill3d: Shell) -> None:
    assert distill3d("extract", "--wrokers", 2)[0] == 2


def test_strict_minds_a_listed_scene_that_is_missing(
    distill3d: Shell, scannet: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(scannet, tmp_path / "scannet")
    shutil.rmtree(root / "scans" / "scene0001_00")
    words = ("extract", "--scannet", root, "--workspace", tmp_path / "out", "--workers", 1,
             "--set", "extract.stride_frames=9")  # frames 0, 9, 18: all good  # fmt: skip
    code, out, _ = distill3d(*words)
    assert code == 0
    assert "listed, but no .sens there: 1 (scene0001_00)" in out
    assert "0 rejected" in out
    assert distill3d(*words, "--strict")[0] == 1


def test_a_failed_scene_is_exit_1(distill3d: Shell, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.sens", tmp_path / "bad.sens"
    write_recording(good, seed=0, num_frames=1)
    bad.write_bytes(b"nothing")
    words = ("extract", good, bad, "--workspace", tmp_path / "out", "--workers", 1)
    code, out, err = distill3d(*words)
    assert code == 1
    assert "1 scene extracted, 0 complete before, 1 failed" in out
    assert "failed: bad: " in out
    assert "all of split train, none is held out" in out
    assert "none is held out" not in distill3d(*words, "--split", "train")[1]
    assert "Traceback" not in out + err
    assert "Traceback" in distill3d(*words, "--debug")[2]


def test_lists_that_match_nothing_are_refused(
    distill3d: Shell, scannet: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(scannet, tmp_path / "scannet")
    for split in ("train", "val"):
        (root / f"scannetv2_{split}.txt").write_text("scene0700_00\n" if split == "val" else "")
    code, _, err = distill3d("extract", "--scannet", root, "--workspace", tmp_path / "out")
    assert (code, "none of the scenes" in one_line(err)) == (2, True)


def test_a_share_of_the_scenes(distill3d: Shell, scannet: Path, tmp_path: Path) -> None:
    words = ("extract", "--scannet", scannet, "--workspace", tmp_path, "--workers", 1)
    code, out, _ = distill3d(*words, "--shard", "8/9")
    assert (code, "of them, 0 in share 8 of 9" in out) == (0, True)


@pytest.mark.parametrize(("name", "code"), [("SIGHUP", 129), ("SIGINT", 130), ("SIGTERM", 143)])
def test_a_stopped_training_ends_with_its_signals_code(name: str, code: int) -> None:
    outcome = Outcome(False, step=3, epoch=0, total_steps=9, metrics={}, best=None, stopped_by=name)
    with pytest.raises(typer.Exit) as end:
        exit_if_stopped(outcome)
    assert end.value.exit_code == code
    exit_if_stopped(replace(outcome, stopped_by=None))  # as --stop-after-epoch asked: exit 0
    exit_if_stopped(None)


def test_version(distill3d: Shell) -> None:
    code, out, _ = distill3d("--version")
    assert (code, out.startswith("distill3d ")) == (0, True)


def test_pack_sens(distill3d: Shell, tmp_path: Path) -> None:
    write_seven_scenes(tmp_path / "in")
    out = tmp_path / "a.sens"
    code, text, err = distill3d("pack-sens", tmp_path / "in", "--out", out, "--frames", "1:")
    assert code == 0
    assert "2 frames of 7-Scenes layout" in text
    assert "colour camera: no intrinsics known" in err
    code, _, err = distill3d("pack-sens", tmp_path / "in", "--out", out)
    assert (code, "--overwrite" in one_line(err)) == (2, True)
    again = ("pack-sens", tmp_path / "in", "--out", out, "--overwrite")
    assert distill3d(*again, "--color-intrinsics", "525,525,320,240")[2] == ""
    for wrong in ("--color-intrinsics=1,2,3", "--frames=9", "--depth-intrinsics=0,1,1,1",
                  "--depth-intrinsics=inf,1,1,1", "--depth-shift=1e9", "--out=a b.sens"):  # fmt: skip
        assert distill3d(*again, wrong)[0] == 2
    (tmp_path / "in" / "camera-intrinsics.txt").unlink()
    assert "--depth-intrinsics FX,FY,CX,CY" in distill3d(*again)[2]


def test_pack_sens_says_what_it_found(distill3d: Shell, tmp_path: Path) -> None:
    write_open3d(tmp_path / "open3d")
    (tmp_path / "open3d" / "notes.txt").write_text("mine")
    out = tmp_path / "a.sens"
    code, text, err = distill3d("pack-sens", tmp_path / "open3d", "--out", out, "--frames", "1:9")
    assert (code, err) == (0, "")
    for part in ("2 frames of Open3D layout", "poses: 1 valid, 1 lost; from trajectory.log",
                 "cameras: from camera_primesense.json", "not used: 1 (notes.txt)",
                 "--frames 1:9: the folder has 3 frames"):  # fmt: skip
        assert part in text
    code, _, err = distill3d("pack-sens", tmp_path / "open3d", "--out", out, "--overwrite",
                             "--frames", "3:")  # fmt: skip
    assert (code, "leaves none of the 3 frames" in one_line(err)) == (2, True)

    write_images(tmp_path / "bare")
    (tmp_path / "bare" / "K.txt").write_text("30")
    words = ("pack-sens", tmp_path / "bare", "--out", tmp_path / "b.sens")
    code, _, err = distill3d(*words)
    assert (code, "no intrinsics (not understood: 1 (K.txt)); give" in one_line(err)) == (2, True)
    code, text, _ = distill3d(*words, "--depth-intrinsics", "30,31,15,12")
    assert (code, "poses: none were found: all are marked lost" in text) == (0, True)


@pytest.mark.parametrize(
    ("workers", "sigint"), [("1", signal.SIG_DFL), ("2", signal.SIG_DFL), ("2", signal.SIG_IGN)]
)
@pytest.mark.processes
def test_ctrl_c_lets_running_scenes_end(
    tmp_path: Path, workers: str, sigint: signal.Handlers
) -> None:
    """Exit 130 with the way to go on, also in a shell's background; no half scene is left."""
    files = []
    for seed in range(6):
        files.append(tmp_path / f"scene{seed}.sens")
        write_recording(files[-1], seed=seed, num_frames=60)
    out = tmp_path / "out"
    process = start(
        ["-m", "pipeline", "extract", *map(str, files), "--workspace", str(out), "--workers", workers,
         "--set", "extract.stride_frames=1"], sigint=sigint,
    )  # fmt: skip
    while not any(out.glob(".points*/scene*")):  # until a scene is being written
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    first, last = err.splitlines()
    assert first.endswith("press Ctrl-C again to stop now")
    assert "the same command goes on" in last
    assert not list(out.glob(".*partial"))
    assert 1 <= len(list(out.glob("points.zarr/scene*"))) < 6


def test_configs_and_command_are_in_the_wheel(tmp_path: Path) -> None:
    """An installed package finds its configurations, from any folder."""
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns(".*", "workspace", "data", "build", "*.egg-info", "tests")
    shutil.copytree(REPOSITORY, source, ignore=ignored)
    target = tmp_path / "target"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
         "--target", str(target), str(source)], check=True, capture_output=True,
    )  # fmt: skip
    program = "from pipeline import config; print(config.__file__, config.shipped_configs())"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(target)},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    there = sorted(
        str(file.relative_to(REPOSITORY / "configs").with_suffix(""))
        for file in (REPOSITORY / "configs").rglob("*.yaml")
    )
    assert done.stdout.strip() == f"{target}/pipeline/config.py {there}"


def test_shell_completion_knows_the_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['distill3d']; from pipeline.cli import main; main()"],
        cwd=REPOSITORY, check=True, capture_output=True, text=True,
        env={**os.environ, "_DISTILL3D_COMPLETE": "complete_bash", "COMP_WORDS": "distill3d pre",
             "COMP_CWORD": "1"},
    )  # fmt: skip
    assert done.stdout.split() == ["pretrain", "pretrain-all", "prepare", "predict"]
