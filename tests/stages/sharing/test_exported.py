"""A student that is shared: written, read back alike, and what is said of a damaged one."""

import json
from pathlib import Path

import pytest
import torch

import distill3d
from cache.card import CardError
from stages.sharing.exported import read_exported
from tests.worlds.pairs import pretrained


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrained(tmp_path_factory.mktemp("exported"))


def test_what_is_exported_sees_the_same(run: Path, tmp_path: Path) -> None:
    out = distill3d.export_student(run, tmp_path / "student")
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md", "config.json", "model.safetensors"
    ]  # fmt: skip
    cloud = torch.rand(300, 3)
    ours, shared = (distill3d.load_student(source) for source in (run, out))
    assert shared.input == ours.input
    for name, value in vars(ours(cloud)).items():
        torch.testing.assert_close(getattr(shared(cloud), name), value)
    assert "val_r2" in json.loads((out / "config.json").read_text())["measures"]
    assert "load_student" in (out / "README.md").read_text()


def test_it_replaces_only_when_it_is_told_to(run: Path, tmp_path: Path) -> None:
    out = distill3d.export_student(run / "last", tmp_path / "student")
    with pytest.raises(ValueError, match="exists already"):
        distill3d.export_student(run, out)
    (out / "other.txt").write_text("")
    distill3d.export_student(run, out, overwrite=True)
    assert not (out / "other.txt").exists()
    with pytest.raises(ValueError, match="expected the folder of a pre-training"):
        distill3d.export_student(tmp_path, tmp_path / "other")


def test_a_damaged_one_is_named(run: Path, tmp_path: Path) -> None:
    out = distill3d.export_student(run, tmp_path / "student")
    whole = (out / "model.safetensors").read_bytes()
    (out / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(CardError, match=r"model\.safetensors: damaged"):
        distill3d.load_student(out)
    (out / "model.safetensors").write_bytes(whole)
    config = json.loads((out / "config.json").read_text())
    for change, message in (
        ({"schema_version": 99}, "of schema 99, expected"),
        ({"model": 3}, "not the configuration"),
        ({"model": {**config["model"], "kind": "classifier"}}, "cannot be built"),
    ):
        (out / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(CardError, match=message):
            distill3d.load_student(out)
    (out / "config.json").unlink()
    with pytest.raises(CardError, match="not the configuration"):
        read_exported(out)
    (out / "config.json").write_text("{")
    with pytest.raises(CardError, match="not the configuration"):
        distill3d.load_student(out)


def test_a_name_on_the_hub_that_cannot_be_had_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="nobody/nothing: no such folder here, and not to be had"):
        distill3d.load_student("nobody/nothing")
