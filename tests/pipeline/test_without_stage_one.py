"""Stage two where only its own extra is installed, and what stage one says there."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from tests.harness.without_packages import STAGE_ONE, End, run_without
from tests.worlds.recordings import write_recording
from tests.worlds.whole import prepare_everything

pytestmark = pytest.mark.processes

# Each runs in the workspace that the ones before it left.
COMMANDS = {
    "pretrain": "pretrain --device cpu {c} {w}",
    "pretrain-all": "pretrain-all --only pointmae --device cpu {c} {w}",
    "variants": "variants {w}",
    "study": "study --show {c} {w}",
    "probe of frames": "probe {root}/pretrain/tiny --data frames --seeds 1 --device cpu {c} {w}",
    "finetune": "finetune parts --device cpu {c} {w}",
    "finetune-all": "finetune-all --init scratch --name all --device cpu {c} {w}",
    "evaluate": "evaluate {root}/finetune/detection/all/seed0 --device cpu {w}",
    "predict": "predict {root}/finetune/segmentation/all/seed0 --split val --device cpu {w}",
    "probe of shapes": "probe scratch --device cpu {c} {w}",
    "probe of scans": "probe {root}/pretrain/tiny --data scannet --device cpu {c} {w}",
    "inspect a run": "inspect {root}/finetune/parts/a/seed0 --verify",
    "inspect a checkpoint": "inspect {root}/pretrain/tiny/last --verify",
    "inspect objects": "inspect {root}/objects/modelnet40.zarr --verify",
    "inspect scans": "inspect {root}/scans/scannet.zarr --verify",
    "inspect points": "inspect {root}/points.zarr",
    "inspect prefixes": "inspect {root}/teacher/t.zarr",
    "inspect all": "inspect {root}",
    "inspect a recording": "inspect {root}/a.sens --verify",
    "inspect frames": "inspect {root}/extracted --verify",
    "contact-sheet of objects": "contact-sheet --modelnet40 {root}/m40 --shapenetpart {root}/parts {w}",
    "contact-sheet of frames": "contact-sheet a --workspace {root}/extracted",
    "contact-sheet of scans": "contact-sheet scene0901_00 {w}",
}
# What stage one needs, and what says so.
REFUSED = {
    "sample": ("sample {w}", "open3d"),
    "extract": ("extract {root}/a.sens {root}/b.sens --workers 2 --workspace {root}/other", "open3d"),
    "pack-sens": ("pack-sens {root} -o {root}/c.sens", "cv2"),
    "prepare scans": ("prepare scannet {root} --workspace {root}/other", "plyfile"),
    "contact-sheet": ("contact-sheet --scannet {root} {w}", "plyfile"),
}  # fmt: skip


def words(command: str, root: Path) -> list[str]:
    common = {"c": f"--config {root}/small.yaml", "w": f"--workspace {root}", "root": root}
    return command.format(**common).split()


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[str, End]:
    root = tmp_path_factory.mktemp("all")
    prepare_everything(root)
    for seed, name in enumerate(("a", "b")):
        write_recording(root / f"{name}.sens", seed=seed, num_frames=2)
    said = CliRunner().invoke(
        app, ["extract", f"{root}/a.sens", "--workspace", f"{root}/extracted", "--workers", "1"]
    )
    assert said.exit_code == 0, said.output
    commands = [*COMMANDS.values(), *(command for command, _ in REFUSED.values())]
    names = [*COMMANDS, *(f"{name} is refused" for name in REFUSED)]
    found = run_without(STAGE_ONE, [words(command, root) for command in commands])
    return dict(zip(names, found, strict=True))


@pytest.mark.parametrize("name", COMMANDS)
def test_stage_two_runs(ends: dict[str, End], name: str) -> None:
    end = ends[name]
    assert end.code == 0, end.err + end.out
    assert "not installed" not in end.out + end.err
    assert "not probed" not in end.out


@pytest.mark.parametrize("name", REFUSED)
def test_stage_one_names_what_is_missing_once(ends: dict[str, End], name: str) -> None:
    end = ends[f"{name} is refused"]
    said = (
        f"the package {REFUSED[name][1]} is not installed here; from the checkout: pip install -e"
    )
    assert end.code == 1
    assert (end.out + end.err).count("not installed") == 1
    assert f"distill3d: {said} '.[precompute]'\n" in end.err
    assert "distill3d[" not in end.out + end.err
