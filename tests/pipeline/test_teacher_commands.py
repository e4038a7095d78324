"""teacher-train, teacher-cache, caption and inspect, as a user runs them one after the other."""

import json
import signal
import time
from pathlib import Path

import pytest
import torch
import zarr

from cache.checkpoint import has_checkpoint
from cache.commit import lock
from cache.frames import frames_path, iter_images
from cache.scene_group import group_attributes, list_scenes, replace_attributes
from tests.harness.running import read_until, start
from tests.pipeline.test_cli import Shell, distill3d, one_line
from tests.worlds.recordings import write_recording
from tests.worlds.teacher import write_color_captions

pytestmark = pytest.mark.processes

__all__ = ["distill3d"]

TINY = """
teacher_train:
  name: tiny
  small_tower: {image_size: 32, embed_dim: 16}
  train_tower: true
  small_language_model: {width: 64, layers: 1, vocabulary: 300}
  prefix_length: 3
  epochs: 1
  batch_images: 8
  lr: 0.003
teacher: {name: tiny, source: trained, trained: tiny}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(TINY)
    write_color_captions(tmp_path / "captions.parquet")
    write_recording(tmp_path / "a.sens", seed=0, num_frames=3)
    return tmp_path


def test_from_captions_to_words(distill3d: Shell, workspace: Path) -> None:
    common = ("--config", workspace / "tiny.yaml", "--workspace", workspace)
    code, _, err = distill3d("teacher-cache", *common)
    assert (code, "points.zarr: not there; run extract first" in one_line(err)) == (2, True)
    extract = ("extract", workspace / "a.sens", "--workspace", workspace, "--workers", 1)
    assert distill3d(*extract, "--set", "extract.stride_frames=1")[0] == 0
    code, _, err = distill3d("teacher-cache", *common)
    assert (code, "teacher/tiny: not there; run teacher-train first" in one_line(err)) == (2, True)

    code, out, err = distill3d("teacher-train", *common)
    assert code == 0, err
    assert "shuffled control, 6 unseen images: precision" in out
    assert (workspace / "report" / "captions_tiny.html").is_file()
    code, out, err = distill3d("teacher-cache", *common)
    assert code == 0, err
    assert "1 scene cached, 0 complete before, 0 failed" in out
    assert "images: 3 valid, 0 cannot be decoded" in out

    _, image = next(iter_images(frames_path(workspace / "frames", "a")))
    (workspace / "a.jpg").write_bytes(image)
    from_image = distill3d("caption", *common, "--image", workspace / "a.jpg")
    from_prefix = distill3d("caption", *common, "--frame", "a:0")
    assert from_image[:2] == from_prefix[:2]
    assert from_image[0] == 0
    assert distill3d("caption", *common, "--frame", "a:0", "--beams", 3)[0] == 0

    code, out, _ = distill3d("inspect", workspace / "teacher" / "tiny.zarr", "--verify")
    assert code == 0
    for part in ("clipcap, trained tiny", "1, 3 rows", "3 x 64", "3 training rows",
                 "computed again", "yes, all of it read"):  # fmt: skip
        assert part in out
    code, out, _ = distill3d("inspect", workspace / "teacher" / "tiny")
    assert (code, "mlp, 16 to 3 x 64" in out) == (0, True)


def test_inspect_finds_what_is_wrong(distill3d: Shell, workspace: Path) -> None:
    common = ("--config", workspace / "tiny.yaml", "--workspace", workspace)
    distill3d("teacher-train", *common)
    distill3d("extract", workspace / "a.sens", "--workspace", workspace, "--workers", 1)
    assert distill3d("teacher-cache", *common)[0] == 0
    store = workspace / "teacher" / "tiny.zarr"
    assert distill3d("inspect", store, "--verify")[0] == 0

    prefix = zarr.open_array(store / "a" / "prefix", mode="r+")
    kept = prefix[:]
    prefix[0] = kept[0] * 1.5
    code, out, _ = distill3d("inspect", store, "--verify")
    assert (code, "rows computed again differ" in out) == (1, True)
    prefix[0] = float("nan")
    code, out, _ = distill3d("inspect", store)
    assert (code, "values that are not finite" in out) == (1, True)
    prefix[:] = kept

    weights = workspace / "teacher" / "tiny" / "clipcap.pt"
    state = torch.load(weights, weights_only=True)
    torch.save({key: value + 1 for key, value in state.items()}, weights)
    code, out, _ = distill3d("inspect", store, "--verify")
    assert (code, "has other weights now" in out) == (1, True)

    write_recording(workspace / "b.sens", seed=1, num_frames=1)
    distill3d("extract", workspace / "b.sens", "--workspace", workspace, "--workers", 1)
    code, out, _ = distill3d("inspect", store)
    assert (code, "1 extracted scenes are missing (b, ...)" in out) == (1, True)

    attributes = group_attributes(store)
    replace_attributes(store, {"other": 1})
    assert "no teacher's store" in one_line(distill3d("inspect", store)[2])
    replace_attributes(store, attributes)
    (workspace / "teacher" / "tiny" / "artifact.json").write_text(json.dumps({}))
    assert "not one of ours" in one_line(distill3d("inspect", workspace / "teacher" / "tiny")[2])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "either --image FILE or --frame"),
        (("--image", "a.jpg", "--frame", "a:0"), "either --image FILE or --frame"),
        (("--frame", "a"), "expected SCENE:INDEX"),
        (("--frame", "a:x"), "expected SCENE:INDEX"),
        (("--frame", "a:0", "--set", "teacher.kind=clipcp"), "teacher.kind = 'clipcp'"),
    ],
)
def test_wrong_captions_are_exit_2(
    distill3d: Shell, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "a.parquet").touch()
    code, _, err = distill3d("caption", "--workspace", tmp_path, *words)
    assert (code, message in one_line(err)) == (2, True)


def test_frames_without_words_say_why(distill3d: Shell, workspace: Path) -> None:
    common = ("--config", workspace / "tiny.yaml", "--workspace", workspace)
    distill3d("teacher-train", *common)
    write_recording(workspace / "c.sens", seed=0, num_frames=12)  # frame 10 has no depth
    distill3d("extract", workspace / "c.sens", "--workspace", workspace, "--workers", 1,
              "--set", "extract.stride_frames=5")  # fmt: skip
    distill3d("teacher-cache", *common)
    for frame, message in (
        ("c:1", "c:1: this frame was not sampled; sampled are 0, 5, 10"),
        ("c:10", "c:10: this frame was rejected: too_few_valid_pixels"),
        ("d:0", "--frame d:0: no scene d in"),
    ):
        code, _, err = distill3d("caption", *common, "--frame", frame)
        assert (code, message in one_line(err)) == (2, True)
    (workspace / "bad.jpg").write_bytes(b"no picture")
    weights = workspace / "teacher" / "tiny" / "clipcap.pt"
    weights.write_bytes(b"")  # what is refused now is refused before a model is loaded
    code, _, err = distill3d("caption", *common, "--image", workspace / "bad.jpg")
    assert (code, "bad.jpg: cannot be decoded: neither JPEG" in one_line(err)) == (2, True)
    code, _, err = distill3d("caption", *common, "--frame", "c:1")
    assert (code, "c:1: this frame was not sampled" in one_line(err)) == (2, True)
    kind = ("--set", "teacher.kind=clip-global")
    code, _, err = distill3d("caption", *common, "--frame", "c:0", *kind)
    assert (code, "caption is for kind clipcap" in one_line(err)) == (2, True)


def test_prefixes_of_another_teacher_than_the_configured_one(
    distill3d: Shell, workspace: Path
) -> None:
    common = ("--config", workspace / "tiny.yaml", "--workspace", workspace)
    distill3d("extract", workspace / "a.sens", "--workspace", workspace, "--workers", 1)
    distill3d("teacher-train", *common)
    assert distill3d("teacher-cache", *common)[0] == 0
    wide = (
        "--set",
        "teacher_train.name=wide",
        "--set",
        "teacher_train.small_language_model.width=128",
    )
    assert distill3d("teacher-train", *common, *wide)[0] == 0
    code, _, err = distill3d("caption", *common, "--frame", "a:0", "--set", "teacher.trained=wide")
    message = "the cached prefix has 64 numbers a token, the configured language model 128"
    assert (code, message in one_line(err)) == (2, True)


STOPPING = [(signal.SIGTERM, signal.SIG_DFL, 143), (signal.SIGINT, signal.SIG_IGN, 130)]


@pytest.mark.parametrize(("number", "sigint", "code"), STOPPING)
def test_a_stopped_training_of_a_teacher_keeps_what_it_saved(
    workspace: Path, number: signal.Signals, sigint: signal.Handlers, code: int
) -> None:
    """Where it stands stays, and nothing half-written; Ctrl-C in the background too."""
    process = start(
        ["-m", "pipeline", "teacher-train", "--config", str(workspace / "tiny.yaml"), "--workspace",
         str(workspace), "--set", "teacher_train.epochs=20000", "--workers", "1"], sigint=sigint,
    )  # fmt: skip
    read_until(process, "epoch 10/20000")
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == code, err
    assert err.splitlines()[-1] == "distill3d: stopped; the same command goes on from here"
    assert has_checkpoint(workspace / "teacher" / ".tiny.training" / "last")
    assert not (workspace / "teacher" / "tiny").exists()
    assert not (workspace / ".teacher.partial").exists()


@pytest.mark.parametrize(("number", "sigint", "code"), STOPPING)
def test_a_stopped_cache_of_a_teacher_goes_on(
    distill3d: Shell, workspace: Path, number: signal.Signals, sigint: signal.Handlers, code: int
) -> None:
    """It waits for a scene that another process, this one, is writing; then it is stopped."""
    common = ("--config", str(workspace / "tiny.yaml"), "--workspace", str(workspace))
    distill3d("extract", workspace / "a.sens", "--workspace", workspace, "--workers", 1)
    distill3d("teacher-train", *common)
    locks = workspace / "teacher" / ".locks"
    with lock(locks / "tiny" / "a", wait=False):
        process = start(["-m", "pipeline", "teacher-cache", *common], sigint=sigint)
        while not (locks / "tiny.zarr.running").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        _, err = process.communicate()
    assert process.returncode == code, err
    assert err.splitlines()[-1] == "distill3d: stopped; the same command goes on from here"
    assert list_scenes(workspace / "teacher" / "tiny.zarr") == []
    code, out, _ = distill3d("teacher-cache", *common)
    assert (code, "1 scene cached" in out) == (0, True)
