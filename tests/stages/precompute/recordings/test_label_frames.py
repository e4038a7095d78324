"""Which objects extracted frames show, from ScanNet's label images, beside what an independent reader sees."""

import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cache.card import CardError
from cache.frame_labels import read_frame_labels
from cache.frames import frames_path, read_frames
from pipeline.cli import app
from stages.sample.sample import RECORDED, Rooms, SampleConfig, run
from stages.sample.things.labels import LABELS
from stages.sample.writing.objects import Classified, Parted
from tests.conftest import REPOSITORY

CONFIG = SampleConfig(
    recorded=Rooms(train=1, val=1),
    frames_per_recording=6,
    scanned=Rooms(train=1, val=1),
    captioned=Rooms(train=1, val=1),
    images_per_captioned_room=1,
    modelnet40=Classified(train=1, test=1),
    shapenetpart=Parted(train=1, val=1, test=1),
    points_per_object=256,
)
SCENE = f"scene{RECORDED:04d}_00"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    run(CONFIG, out=root / "sample", captions=root / "captions.parquet")
    words = ["extract", "--scannet", str(root / "sample" / "recordings"), "--config", "demo",
             "--workspace", str(root), "--workers", "1"]  # fmt: skip
    assert CliRunner().invoke(app, words).exit_code == 0
    return root


@pytest.fixture
def own(world: Path, tmp_path: Path) -> Path:
    """A copy that can be spoiled."""
    shutil.copytree(world, tmp_path, dirs_exist_ok=True)
    (tmp_path / "labels.parquet").unlink(missing_ok=True)
    return tmp_path


def label_frames(root: Path, *words: str) -> tuple[int, str]:
    command = ["label-frames", "--workspace", str(root), "--workers", "1", *words]
    said = CliRunner().invoke(app, command)
    return said.exit_code, said.output + str(said.exception or "")


def _archive(root: Path) -> Path:
    folder = root / "sample" / "recordings" / "scans" / SCENE
    return folder / f"{SCENE}_2d-label-filt.zip"


def _replace(archive: Path, name: str, content: bytes | None) -> None:
    with zipfile.ZipFile(archive) as there:
        parts = {entry: there.read(entry) for entry in there.namelist()}
    with zipfile.ZipFile(archive, "w") as new:
        for entry, own in {**parts, name: content}.items():
            if own is not None:
                new.writestr(entry, own)


def _png(ids: np.ndarray) -> bytes:
    written = io.BytesIO()
    Image.fromarray(ids).save(written, "png")
    return written.getvalue()


def test_shares_are_those_of_the_images(world: Path) -> None:
    code, said = label_frames(world)
    assert code == 0, said
    assert "2 scenes, " in said
    found = read_frame_labels(world / "labels.parquet")
    kept = [
        row["frame_index"]
        for row in read_frames(frames_path(world / "frames", SCENE)).to_pylist()
        if row["status"] == "kept"
    ]
    assert [index for scene, index in found if scene == SCENE] == kept
    number_of = {raw: number for number, raw in enumerate(LABELS, start=1)}
    with zipfile.ZipFile(_archive(world)) as archive:
        for index in kept:
            ids = np.array(Image.open(io.BytesIO(archive.read(f"label-filt/{index}.png"))))
            frame = found[SCENE, index]
            assert frame.label
            for raw, nyu40, share in zip(frame.label, frame.nyu40id, frame.share, strict=True):
                assert share == pytest.approx((ids == number_of[raw]).mean())
                assert nyu40 == LABELS[raw].nyu40
            assert list(frame.share) == sorted(frame.share, reverse=True)
            assert sum(frame.share) == pytest.approx((ids > 0).mean())


def test_a_second_time_it_is_complete(world: Path) -> None:
    label_frames(world)
    before = (world / "labels.parquet").stat().st_mtime_ns
    code, said = label_frames(world)
    assert (code, "complete before" in said) == (0, True)
    assert (world / "labels.parquet").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "There is no item named 'label-filt/1.png'"),
        (b"", "expected a PNG of whole numbers"),
        (b"no picture", "expected a PNG of whole numbers"),
        (_png(np.zeros((4, 4, 3), np.uint8)), "expected a PNG of whole numbers"),
        (_png(np.full((4, 4), 999, np.uint16)), "ids [999] are not in the label table"),
    ],
    ids=["missing", "empty", "no picture", "colours", "unknown"],
)
def test_what_is_damaged_is_named_and_nothing_written(
    own: Path, content: bytes | None, said: str
) -> None:
    _replace(_archive(own), "label-filt/1.png", content)
    code, output = label_frames(own)
    assert code == 1
    assert said in output
    assert str(_archive(own)) in output
    assert not (own / "labels.parquet").exists()


def test_an_archive_that_is_none(own: Path) -> None:
    _archive(own).write_bytes(b"PK no archive")
    code, output = label_frames(own)
    assert (code, "download it again" in output) == (1, True)


def test_scenes_without_label_images_are_said(own: Path) -> None:
    _archive(own).unlink()
    code, output = label_frames(own)
    assert code == 0
    assert f"without label images: 1 ({SCENE})" in output
    shutil.rmtree(own / "sample" / "recordings" / "scans")
    (own / "labels.parquet").unlink()
    _, output = label_frames(own)
    assert "none of the 2 extracted scenes has a <scene>_2d-label-filt.zip" in output


def test_labels_of_other_scenes_are_not_taken(own: Path) -> None:
    label_frames(own)
    _archive(own).unlink()
    code, output = label_frames(own)
    assert code == 1
    assert "made from other scenes" in output
    assert label_frames(own, "--overwrite")[0] == 0


def test_a_cut_file_is_no_labels(own: Path) -> None:
    label_frames(own)
    file = own / "labels.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(CardError, match="delete it and run label-frames again"):
        read_frame_labels(file)
    file.unlink()
    with pytest.raises(CardError, match="run label-frames"):
        read_frame_labels(file)


def test_it_reads_scannets_table() -> None:
    from stages.sources.label_images import read_ids

    golden = REPOSITORY / "tests" / "golden" / "scannet_labels" / "labels.tsv"
    found = read_ids(golden)
    assert all(isinstance(raw, str) and 0 <= nyu40 <= 40 for raw, nyu40 in found.values())
