"""What a user got wrong is exit 2 and one line, of every command, and before torch is imported."""

from pathlib import Path

import pytest

from cache.card import Card
from cache.runs import write_json
from tests.harness.without_packages import End, run_without
from tests.pipeline.test_cli import Shell, distill3d, one_line
from tests.worlds.whole import prepare_everything

pytestmark = pytest.mark.processes

__all__ = ["distill3d"]

# Of each command: its words, and what it must say. {root} has everything, {empty} nothing.
WITHOUT_TORCH = [
    ("sample -c nowhere", "nowhere: no such configuration file; shipped ones are"),
    ("sample --set sample.sed=1", "unknown key sample.sed; did you mean sample.seed?"),
    ("sample --workspace {root}/small.yaml", "small.yaml: it is a file; name a folder"),
    ("extract --scannet {empty}", "no ScanNet here"),
    ("extract {empty}", "no .sens in this folder"),
    ("extract nowhere.sens", "nowhere.sens: no such file"),
    ("extract --shard 3/3", "--shard 3/3: expected I/N"),
    ("extract --set extract.sed=1", "unknown key extract.sed; did you mean extract.seed?"),
    ("teacher-train --device gpu", "--device gpu: expected auto, cpu, cuda or cuda:N"),
    ("teacher-train --captions nowhere", "nowhere: no such file; name one with --captions"),
    ("teacher-cache --device mps", "--device mps: expected auto, cpu, cuda or cuda:N"),
    ("teacher-cache --workspace {empty}", "points.zarr: not there; run extract first"),
    ("pretrain --device cuda:x", "--device cuda:x: expected auto, cpu, cuda or cuda:N"),
    ("pretrain --set pretrian.seed=1", "unknown section 'pretrian'; did you mean pretrain?"),
    ("pretrain --set seed=1", "--set seed=1: expected section.key=value"),
    ("pretrain -c {root}/broken.yaml", "broken.yaml: not YAML"),
    ("pretrain -c {root}/section.yaml", "section.yaml: unknown section 'student'"),
    ("pretrain --workspace {empty}", "points.zarr: not there; run extract first"),
    ("pretrain-all --workspace {empty}", "points.zarr: not there; run extract first"),
    ("pretrain-all --only nothing --workspace {root}", "--only nothing: no such variant; known are"),
    ("study --set study.primary=7", "primary 7 is none of percent"),
    ("study --set study.arms=[ours,nothing]", "nothing: no such variant; known are ours"),
    ("label-frames --scannet nowhere", "nowhere: no such folder; name ScanNet's with --scannet"),
    ("variants --workspace {root}/small.yaml", "small.yaml: it is a file; name a folder"),
    ("prepare modelnet40 nowhere", "nowhere: no such folder"),
    ("prepare modelnet40 --workspace {empty}", "no such folder; name the data set's folder"),
    ("prepare scanobjectnn", "name its folder"),
    ("prepare scannet nowhere", "nowhere: no such folder"),
    ("prepare scannet {root} --votenet-dir nowhere", "--votenet-dir nowhere: no such folder"),
    ("finetune parts --device gpu", "--device gpu: expected auto"),
    ("finetune parts --init nowhere", "--init nowhere: no such file or folder; expected a run"),
    ("finetune parts --init {empty}", "expected the folder of a run or of a checkpoint, found none"),
    ("finetune parts --init {runs}/two", "found the runs seed2, seed10 in it; name one of them"),
    ("finetune parts --workspace {empty}", "objects: not there; run prepare first"),
    ("finetune detection --workspace {empty}", "scans: not there; run prepare first"),
    ("finetune parts --workspace {root}", "pretrain: not there; run pretrain first, or give --init"),
    ("finetune-all --init nowhere", "--init nowhere: no such file or folder"),
    ("finetune-all --init scratch --workspace {empty}", "scans: not there; run prepare first"),
    ("finetune-all --workspace {root}", "pretrain: not there; run pretrain first, or give --init"),
    ("probe nowhere", "distill3d: nowhere: no such file or folder"),
    ("probe {empty}", "expected the folder of a run or of a checkpoint, found none"),
    ("probe scratch --data nope --workspace {root}",
     "--data nope: it is not there; prepared are modelnet40, shapenetpart, scannet; run prepare"),
    ("probe scratch --data scannet --workspace {root}", "scratch: expected the folder of a run or of a checkpoint"),
    ("probe --workspace {empty}", "pretrain: not there; run pretrain first, or name a run"),
    ("evaluate nowhere", "nowhere: no such folder; expected the folder of a run of finetune"),
    ("evaluate {empty}", "expected the folder of a run of finetune, found none"),
    ("evaluate {root}/small.yaml", "it is a file; expected the folder of a run of finetune"),
    ("evaluate {runs}/two", "found the runs seed2, seed10 in it; name one of them"),
    ("evaluate {runs}/pre/seed0", "expected the folder of a run of finetune, this is one of pre-train"),
    ("evaluate {runs}/one --weights best", "one/seed0/best: no checkpoint yet"),
    ("predict nowhere", "expected the folder of a run of finetune segmentation, such as"),
    ("predict {runs}/one", "expected the folder of a run of finetune segmentation, this is one of "),
    ("predict {runs}/going", "going/seed0: not finished yet"),
    ("predict {runs}/done --workspace {empty}", "scannet.zarr: not there; run prepare scannet"),
    ("predict {runs}/done --workspace {root} --split nope", "--split nope: "),
    ("caption", "give either --image FILE or --frame SCENE:INDEX"),
    ("caption --image nowhere.jpg", "--image nowhere.jpg: no such file"),
    ("caption --frame nowhere:0 --workspace {root}", "--frame nowhere:0: no scene nowhere in"),
    ("embed nope.ply -o a.npy", "nope.ply: no such file; expected .npy, .ply"),
    ("embed {root}/small.yaml -o a.txt", "--out a.txt: expected a name that ends in .npy or"),
    ("embed {root}/small.yaml -o a.npy --view a.png", "--view a.png: expected a name that ends in .html"),
    ("embed {root}/small.yaml -o a.npy --workspace {empty}", "no such pre-training; run pretrain first"),
    ("pack-sens nowhere -o {empty}/a.sens", "nowhere: no such folder"),
    ("pack-sens {empty} -o {empty}/a.sens", "no known RGB-D layout"),
    ("pack-sens {empty} -o {empty}/a.txt", "the name must end in .sens"),
    ("inspect nowhere", "nowhere: nothing there"),
    ("inspect {empty}", "expected a .sens, a workspace"),
    ("inspect {root}/small.yaml", "small.yaml: expected a .sens, a workspace"),
    ("inspect {root}/points.zarr/scene0000_00 --sens a.sens", "give both"),
    ("inspect {root} --verify --sens a.sens", "--sens compares with one scene"),
    ("contact-sheet --workspace {empty}", "no extracted frames, prepared scans or sample world"),
    ("contact-sheet nope --workspace {root}", "nope: no such scene in"),
    ("contact-sheet --scannet nowhere", "--scannet nowhere: no such folder"),
    ("contact-sheet --scannet {empty}", "no annotated scan here"),
]  # fmt: skip
# What only a schema, a library or the data can tell.
WITH_TORCH = [
    ("teacher-cache --set teacher.kind=clipcp --workspace {root}", "teacher.kind = 'clipcp'"),
    ("teacher-cache --set teacher.source=trained --workspace {root}", "run teacher-train first"),
    ("pretrain --device cuda:99 --set pretrain.teacher=t --workspace {root}", "--device cuda:99: not to be had here"),
    ("pretrain --set pretrain.nmae=1 --workspace {root}", "did you mean pretrain.name?"),
    ("pretrain --set pretrain.teacher=none --workspace {root}", "none.zarr: not there; run teacher"),
    ("prepare modelnet40 {empty}", "no ModelNet40 here; known layouts are"),
    ("prepare shapenetpart {empty}", "no such file; expected ShapeNetPart"),
    ("prepare scannet {empty}", "scannetv2"),
    ("finetune parts --init scratch --set parts.data=nope --workspace {root}", "which knows modelnet40"),
    ("finetune classification --init scratch --set classification.data=scanobjectnn "
     "--workspace {root}", "scanobjectnn.zarr: not there; run prepare scanobjectnn"),
    ("finetune-all --init scratch --name ../x --workspace {root}", "--name ../x: expected letters"),
    ("finetune-all --init {root}/small.yaml --workspace {root}", "no PyTorch checkpoint of tensors"),
]  # fmt: skip
USAGE = ["", "nothing", "finetune nothing", "finetune", "pretrain --wrong", "evaluate",
         "evaluate a --weights middle", "prepare nothing", "extract --workers -1"]  # fmt: skip


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("all")
    prepare_everything(root)
    (root / "broken.yaml").write_text("pretrain: [")
    (root / "section.yaml").write_text("student: {}")
    empty, runs = root / "empty", root / "runs"
    empty.mkdir()
    for name, kind in (
        ("two/seed2", "fine-tuning: parts"), ("two/seed10", "fine-tuning: parts"),
        ("one/seed0", "fine-tuning: parts"), ("pre/seed0", "pre-training"),
        ("going/seed0", "fine-tuning: segmentation"), ("done/seed0", "fine-tuning: segmentation"),
    ):  # fmt: skip
        (runs / name).mkdir(parents=True)
        write_json(runs / name / "run.json", Card(kind, 1, {}, {}).to_dict())
    write_json(runs / "done" / "seed0" / "result.json", {})
    return {"root": root, "empty": empty, "runs": runs}


def words(command: str, places: dict[str, Path]) -> list[str]:
    return command.format(**places).split()


@pytest.fixture(scope="module")
def ends(places: dict[str, Path]) -> dict[str, End]:
    """Each refusal, in a process where torch cannot be imported."""
    commands = [command for command, _ in WITHOUT_TORCH]
    found = run_without(("torch",), [words(command, places) for command in commands])
    return dict(zip(commands, found, strict=True))


@pytest.mark.parametrize(("command", "message"), WITHOUT_TORCH)
def test_refusals_that_need_no_torch(ends: dict[str, End], command: str, message: str) -> None:
    end = ends[command]
    assert message in one_line(end.err)
    assert (end.code, end.out) == (2, "")


@pytest.mark.parametrize(("command", "message"), WITH_TORCH)
def test_refusals(distill3d: Shell, places: dict[str, Path], command: str, message: str) -> None:
    code, out, err = distill3d(*words(command, places))
    assert message in one_line(err)
    assert (code, out) == (2, "")


@pytest.mark.parametrize("command", USAGE)
def test_wrong_words(distill3d: Shell, command: str) -> None:
    assert distill3d(*command.split())[0] == 2


def test_every_command_is_in_the_table() -> None:
    from pipeline.cli import app

    named = {command.split()[0] for command, _ in WITHOUT_TORCH}
    assert named == {command.name for command in app.registered_commands}
