"""Fine-tuned networks on one's own clouds, and the workspace they lie in."""

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import distill3d
from pipeline.cli import app
from stages.training.tasks.names import TaskName
from stages.training.weights.build import load_model
from tests.worlds.whole import prepare_everything


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tasks")
    prepare_everything(root)
    words = ["--config", str(root / "small.yaml"), "--workspace", str(root), "--device", "cpu"]
    for command in (["pretrain"], ["finetune-all", "--init", "scratch", "--name", "a"]):
        said = CliRunner().invoke(app, [*command, *words])
        assert said.exit_code == 0, said.output
    return root


def loaded(world: Path, task: TaskName) -> distill3d.LoadedTask:
    return distill3d.load_task(world / "finetune" / task / "a" / "seed0")


CLOUD = torch.rand(700, 3, generator=torch.Generator().manual_seed(0))


def test_an_object_has_a_class(world: Path) -> None:
    found = loaded(world, TaskName.CLASSIFICATION).predict(CLOUD.numpy())
    assert found["class"] in found["classes"]
    assert found["probability"].sum() == pytest.approx(1)
    assert found["classes"][int(found["probability"].argmax())] == found["class"]


def test_each_point_of_an_object_has_a_part(world: Path) -> None:
    task = loaded(world, TaskName.PARTS)
    category = task.about["classes"][1]
    found = task.predict(CLOUD, category=category)
    assert found["part"].shape == (700,)
    assert set(found["part"].tolist()) <= set(found["parts"])
    with pytest.raises(ValueError, match=r"name the object's category, of .*; found None"):
        task.predict(CLOUD)


def test_each_point_of_a_scan_has_a_class(world: Path) -> None:
    found = loaded(world, TaskName.SEGMENTATION).predict(CLOUD)
    assert len(found["classes"]) == 20
    assert (found["class"] == found["probability"].argmax(dim=1)).all()
    torch.testing.assert_close(found["probability"].sum(dim=1), torch.ones(700))


def test_a_scan_has_boxes(world: Path) -> None:
    found = loaded(world, TaskName.DETECTION).predict(CLOUD)
    assert found["boxes"].shape == (len(found["class"]), 6)
    assert found["score"].tolist() == sorted(found["score"].tolist(), reverse=True)


def test_a_wrong_cloud_or_run_is_refused_in_words(world: Path) -> None:
    task = loaded(world, TaskName.SEGMENTATION)
    with pytest.raises(ValueError, match=r"expected a cloud \(P, 3\), found \(2, 700, 3\)"):
        task.predict(torch.stack([CLOUD, CLOUD]))
    with pytest.raises(ValueError, match="not finite"):
        task.predict(torch.full((9, 3), torch.inf))
    with pytest.raises(ValueError, match="expected the folder of a run of finetune"):
        distill3d.load_task(world / "pretrain" / "tiny")
    with pytest.raises(ValueError, match="no checkpoint there"):
        distill3d.load_task(world / "finetune" / "parts" / "a" / "seed0", weights="best9")


def test_a_fine_tuned_backbone_gives_features_without_a_prefix(world: Path) -> None:
    student = distill3d.load_student(world / "finetune" / "classification" / "a" / "seed0")
    assert student(CLOUD).prefix is None


@pytest.mark.parametrize("task", ["segmentation", "detection"])
def test_a_backbone_of_scenes_sees_what_it_learned_from(world: Path, task: str) -> None:
    """These networks take metres and normalise by themselves; their backbone alone does not."""
    run = world / "finetune" / task / "a" / "seed0"
    student, network = distill3d.load_student(run), load_model(run / "last")
    given = []
    encoder = network.encoder
    encoder.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    student.encoder.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    points = 3 * CLOUD[: student.input.num_points] + 5
    with torch.no_grad():
        if task == "segmentation":
            network(points[None])
        else:
            network(points[None], points.amin(dim=0)[None], points.amax(dim=0)[None])
    student(points)
    torch.testing.assert_close(given[0], given[1])


def test_a_workspace_is_read(world: Path) -> None:
    workspace = distill3d.open_workspace(world)
    assert len(workspace.scenes) == 4
    scene = workspace.scenes[0]
    points, frames = workspace.points(scene), workspace.frames(scene)
    assert points.dtype == np.float32
    assert len(points) == len(frames) == len(workspace.prefixes(scene, "t"))
    assert list(frames["row"]) == list(range(len(frames)))
    assert (workspace.teachers, workspace.students) == (["t"], ["tiny"])
    result = workspace.result("tiny")
    assert result is not None
    assert "val_r2" in result["last"]
    with pytest.raises(ValueError, match="no such folder"):
        distill3d.open_workspace(world / "nowhere")


def test_embed(world: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", CLOUD.numpy())
    (tmp_path / "b").mkdir()
    np.save(tmp_path / "b" / "a.npy", 2 * CLOUD.numpy())
    files = [str(tmp_path / "a.npy"), str(tmp_path / "b" / "a.npy")]
    common = ["--workspace", str(world), "--config", str(world / "small.yaml"), "--device", "cpu"]

    def embed(out: str, *words: str) -> str:
        said = CliRunner().invoke(
            app, ["embed", *files, "-o", str(tmp_path / out), *common, *words]
        )
        return said.output + str(said.exception or "")

    assert "2 clouds; in" in embed("x.npy")
    rows = np.load(tmp_path / "x.npy")
    student = distill3d.load_student(world / "pretrain" / "tiny")
    np.testing.assert_allclose(rows[0], student(CLOUD).cloud, atol=1e-6)
    said = embed("x.safetensors", "--view", str(tmp_path / "page.html"))
    assert "to look at" in said
    from safetensors.numpy import load_file

    found = load_file(tmp_path / "x.safetensors")
    assert {name.rpartition("/")[2] for name in found} == {
        "xyz", "patches", "centers", "points", "cloud", "prefix"
    }  # fmt: skip
    assert len({name.rpartition("/")[0] for name in found}) == 2
    assert "plotly" in (tmp_path / "page.html").read_text().lower()
    assert "expected a name that ends in .npy or .safetensors" in embed("x.txt")
    files[1] = str(tmp_path / "few.npy")
    np.save(files[1], np.zeros((3, 3)))
    assert "few.npy: expected a cloud of at least" in embed("y.npy")
    assert not (tmp_path / "y.npy").exists()
