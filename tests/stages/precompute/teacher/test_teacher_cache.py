"""teacher-cache: what it stores, what it refuses, and that stopping it changes nothing."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from cache.card import CardError
from cache.frames import frames_path, iter_images, read_frames
from cache.prefixes import (
    PREFIX,
    VALID,
    read_array,
    read_statistics,
    store_identity,
    write_scene,
)
from cache.scene_group import list_scenes, scene_card
from stages.precompute.recordings import extract
from stages.precompute.recordings.extract_scene import ExtractConfig
from stages.precompute.teacher.clip_images import Preprocessing, open_image
from stages.precompute.teacher.decoding import decode_batch
from stages.precompute.teacher.teachers import Teacher, TeacherConfig, load_teacher
from stages.sources.scannet_layout import scenes_from_files
from stages.sources.sens_writer import write_sens
from tests.conftest import REPOSITORY
from tests.worlds.extracted import tree
from tests.worlds.recordings import header, make_frame, make_room
from tests.worlds.teacher import CACHE, run_cache


def test_rows_are_the_teachers_own(workspace: Path, teacher: Teacher, cached: Path) -> None:
    for scene_id in list_scenes(workspace / "points.zarr"):
        prefix = read_array(cached, scene_id, PREFIX)
        images = [image for _, image in iter_images(frames_path(workspace / "frames", scene_id))]
        pixels = decode_batch(teacher.tower.preprocessing, images[:3]).pixels
        expected = teacher(torch.from_numpy(pixels))["prefix"].numpy()
        assert (prefix.dtype, prefix.shape) == (np.float16, (len(images), 3, 64))
        np.testing.assert_array_equal(prefix[:3], expected.astype(np.float16))
        assert read_array(cached, scene_id, VALID).all()


def test_the_store_describes_itself(workspace: Path, cached: Path, teacher: Teacher) -> None:
    about = store_identity(cached)
    assert about["identity"] == teacher.identity()
    assert about["config"]["source"] == "trained"
    assert {"torch", "pillow"} <= about["versions"].keys()
    assert str(workspace) not in str(zarr.open_group(cached, mode="r").attrs.asdict())
    array = zarr.open_array(cached / "scene0000_00" / "prefix", mode="r")
    assert array.dtype == np.float16
    card = scene_card(cached, "scene0000_00")
    assert card is not None
    assert card.counts == {"valid": 4, "invalid": 0}


def test_statistics_are_of_the_training_rows(cached: Path) -> None:
    train = ["scene0000_00", "scene0000_01", "scene0001_00"]
    rows = np.concatenate([read_array(cached, s, PREFIX) for s in train]).astype(np.float64)
    statistics = read_statistics(cached)
    assert statistics.num_rows == len(rows) == 12
    np.testing.assert_allclose(statistics.mean, rows.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(statistics.std, rows.std(axis=0), rtol=1e-4, atol=1e-5)


def write_odd_recording(path: Path) -> None:
    """Four frames; the second one's JPEG has the right markers, but no Huffman table."""
    room = make_room(np.random.default_rng(0))
    with write_sens(path, header()) as writer:
        for index in range(4):
            frame = make_frame(room, index, 10, lost=False, empty=False)
            if index == 1:
                table = frame.color.index(b"\xff\xc4") + 5
                broken = frame.color[:table] + b"\xfe" * 16 + frame.color[table + 16 :]
                frame = replace(frame, color=broken)
            writer.append(frame)


def test_an_image_that_does_not_decode_is_a_row_that_is_not_valid(
    teacher: Teacher, tmp_path: Path
) -> None:
    write_odd_recording(tmp_path / "odd.sens")
    scenes = scenes_from_files([tmp_path / "odd.sens"], "train").scenes
    config = ExtractConfig(stride_frames=1, points_per_frame=64)
    frames, points = tmp_path / "frames", tmp_path / "points.zarr"
    extract.run(config, scenes=scenes, frames=frames, points=points)
    assert len(read_frames(frames / "odd.parquet")) == 4
    report = run_cache(tmp_path, teacher, tmp_path)
    assert (report.invalid, report.failed, report.num_train_rows) == ({"odd": 1}, {}, 3)
    assert report.faults == {"odd": "row 1: broken data stream when reading image file"}
    assert run_cache(tmp_path, teacher, tmp_path).faults == report.faults
    store = tmp_path / "teacher" / "tiny.zarr"
    prefix, valid = read_array(store, "odd", PREFIX), read_array(store, "odd", VALID)
    assert valid.tolist() == [True, False, True, True]
    assert not prefix[1].any()
    assert prefix[0].any()
    assert prefix[2].any()


def test_one_bad_scene_never_stops_the_others(
    workspace: Path, teacher: Teacher, tmp_path: Path
) -> None:
    for name in ("frames", "points.zarr"):
        shutil.copytree(workspace / name, tmp_path / name)
    bad = frames_path(tmp_path / "frames", "scene0000_01")
    data = bytearray(bad.read_bytes())
    image = next(iter(iter_images(bad)))[1]
    data[data.index(image) + 900] ^= 0xFF  # the page's checksum no longer fits
    bad.write_bytes(data)
    frames_path(tmp_path / "frames", "scene0001_00").write_bytes(b"")
    report = run_cache(tmp_path, teacher, tmp_path)
    assert sorted(report.failed) == ["scene0000_01", "scene0001_00"]
    assert "damaged" in report.failed["scene0000_01"]
    assert (report.cached, report.num_train_rows) == (2, None)  # not over part of the scenes


def test_a_scene_that_finds_no_memory_fails_alone(
    workspace: Path, teacher: Teacher, cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = iter_images(frames_path(workspace / "frames", "scene0000_01"))
    bad = list(images)[2][1]

    def decode(self: Preprocessing, encoded: bytes) -> np.ndarray:
        if encoded == bad:
            raise MemoryError
        return self.apply(open_image(encoded))

    with monkeypatch.context() as patch:
        patch.setattr(Preprocessing, "__call__", decode)
        report = run_cache(workspace, teacher, tmp_path)
    why = "row 2: there was no memory to decode it; run the same command again"
    assert (report.cached, report.failed) == (3, {"scene0000_01": why})
    assert run_cache(workspace, teacher, tmp_path).cached == 1
    assert tree(tmp_path / "teacher" / "tiny.zarr") == tree(cached)


def test_values_that_float16_cannot_hold_are_refused(tmp_path: Path) -> None:
    for bad in (np.nan, 1e5):
        with pytest.raises(ValueError, match="prefix: a value is not finite or beyond"):
            write_scene(
                tmp_path / str(bad), {"prefix": np.full((2, 1, 3), bad)}, np.ones(2, bool), None
            )  # type: ignore[arg-type]


def test_the_teacher_is_frozen(teacher: Teacher) -> None:
    with pytest.raises(RuntimeError, match="frozen"):
        teacher.train()
    assert teacher.eval() is teacher
    assert not any(p.requires_grad for p in teacher.parameters())


def test_the_true_size_with_random_weights(workspace: Path, tmp_path: Path) -> None:
    """ViT-B/32, the MLP mapper and both optional arrays, through the whole path."""
    config = TeacherConfig(name="control", kind="random", arrays=("clip", "patches"))
    control = load_teacher(config, trained=tmp_path)
    assert run_cache(workspace, control, tmp_path, config).cached == 4
    store = tmp_path / "teacher" / "control.zarr"
    shapes = {n: read_array(store, "scene0000_00", n).shape for n in ("prefix", "clip", "patches")}
    assert shapes == {"prefix": (4, 10, 768), "clip": (4, 512), "patches": (4, 49, 768)}
    assert store_identity(store)["identity"]["patch_layer"] == "last block, after the final norm"
    with pytest.raises(CardError, match="no array 'words', only clip, patches, prefix, valid"):
        read_array(store, "scene0000_00", "words")


def test_a_random_teacher_has_the_trained_ones_shape(workspace: Path, teacher: Teacher) -> None:
    config = TeacherConfig(name="random", kind="random", source="trained", trained="tiny")
    trained = workspace / "teacher" / "tiny"
    first, again = (load_teacher(config, trained=trained) for _ in range(2))
    other = load_teacher(config.model_copy(update={"seed": 1}), trained=trained)
    assert first.identity() == again.identity()
    weights = {
        key: {t.identity()[key] for t in (teacher, first, other)}
        for key in ("tower_sha256", "mapper_sha256")
    }
    assert [len(own) for own in weights.values()] == [3, 3]
    for key in ("mapper", "preprocessing"):
        assert first.identity()[key] == teacher.identity()[key]


def test_clip_global_is_one_token(workspace: Path, teacher: Teacher) -> None:
    config = TeacherConfig(
        name="clip", kind="clip-global", model=str(workspace / "teacher" / "tiny")
    )
    alone = load_teacher(config, trained=workspace)
    pixels = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    assert alone(pixels)["prefix"].shape == (2, 1, 16)
    torch.testing.assert_close(
        teacher.map(alone(pixels)["prefix"][:, 0]), teacher(pixels)["prefix"]
    )


def test_half_precision_is_near(workspace: Path, teacher: Teacher) -> None:
    half = load_teacher(
        CACHE.model_copy(update={"precision": "bf16"}), trained=workspace / "teacher" / "tiny"
    )
    pixels = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8)
    first, second = teacher(pixels)["prefix"], half(pixels)["prefix"]
    assert second.dtype == torch.float32
    assert not torch.equal(first, second)
    assert torch.nn.functional.cosine_similarity(first, second, dim=-1).min() > 0.99
    assert half.identity()["precision"] == "bf16"


def test_a_mapper_of_another_tower_is_refused(workspace: Path) -> None:
    golden = REPOSITORY / "tests" / "golden" / "clipcap" / "tiny_mlp.pt"
    config = TeacherConfig(source=str(golden), model=str(workspace / "teacher" / "tiny"))
    with pytest.raises(ValueError, match=r"maps embeddings of 32 numbers, .* gives 16"):
        load_teacher(config, trained=workspace)
