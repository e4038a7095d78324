"""Checkpoints: written whole or not at all, checked, and never a pickle."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from cache.card import Card, CardError
from cache.checkpoint import (
    META,
    STATE,
    WEIGHTS,
    Meta,
    damage,
    has_checkpoint,
    read_arrays,
    read_meta,
    write_checkpoint,
)

RUN = Card("a training", 1, {"lr": 0.1}, {"points": "abc"})
META_A = Meta({"kind": "student"}, RUN, {"step": 3, "best": None}, {"loss": 0.1 + 0.2})
ARRAYS = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "a.count": np.array(7, dtype=np.int64),
}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run" / "last"
    write_checkpoint(path, META_A, ARRAYS, {"m": np.ones(2)})
    found = read_meta(path)
    assert (found.model, found.run, found.position, found.metrics) == (
        META_A.model, RUN, META_A.position, META_A.metrics,
    )  # fmt: skip
    weights = read_arrays(path, WEIGHTS)
    for name, array in ARRAYS.items():
        assert weights[name].shape == array.shape
        np.testing.assert_array_equal(weights[name], array)
    assert sorted(file.name for file in path.iterdir()) == [META, STATE, WEIGHTS]
    assert not damage(path)
    assert sorted(child.name for child in tmp_path.iterdir()) == ["run"]


def test_one_to_use_has_no_state(tmp_path: Path) -> None:
    path = tmp_path / "run" / "best"
    write_checkpoint(path, META_A, ARRAYS, None)
    with pytest.raises(CardError, match=r"best: has no state.safetensors"):
        read_arrays(path, STATE)


def test_the_old_one_stays_until_the_new_one_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run" / "last"
    write_checkpoint(path, META_A, ARRAYS, None)
    replace, calls = os.replace, []

    def killed(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:  # the old one is set aside, the new one not yet in place
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(path, Meta({}, RUN, {"step": 4}), ARRAYS, None)
    monkeypatch.undo()
    assert not path.exists()
    assert has_checkpoint(path)
    assert read_meta(path).position["step"] == 3
    write_checkpoint(path, Meta({}, RUN, {"step": 5}), ARRAYS, None)
    assert read_meta(path).position["step"] == 5
    assert [child.name for child in path.parent.iterdir()] == ["last"]


def test_one_who_looks_while_it_is_replaced_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last"
    looked: list[bool] = []
    write_checkpoint(path, META_A, {"a": np.zeros(2)}, None)
    replace = os.replace

    def watched(source: Path, target: Path) -> None:
        replace(source, target)
        if not looked and not path.exists():  # the old one has just moved aside
            looked.append(has_checkpoint(path))

    monkeypatch.setattr(os, "replace", watched)
    write_checkpoint(path, META_A, {"a": np.ones(2)}, None)
    assert looked == [True]
    np.testing.assert_array_equal(read_arrays(path, WEIGHTS)["a"], np.ones(2))
    assert [item.name for item in tmp_path.iterdir()] == ["last"]


def test_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run" / "last"
    with pytest.raises(CardError, match=r"no checkpoint; expected a folder with meta\.json"):
        read_meta(path)
    write_checkpoint(path, META_A, ARRAYS, None)
    raw = (path / WEIGHTS).read_bytes()
    (path / WEIGHTS).write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    assert damage(path) == [f"{path / WEIGHTS} is not as it was written"]
    (path / WEIGHTS).write_bytes(raw[: len(raw) // 2])
    with pytest.raises(CardError, match=r"weights.safetensors: damaged"):
        read_arrays(path, WEIGHTS)
    (path / WEIGHTS).unlink()
    assert damage(path) == [f"{path / WEIGHTS} is missing"]
    meta = json.loads((path / META).read_text())
    (path / META).write_text(json.dumps({**meta, "schema_version": 9}))
    with pytest.raises(CardError, match="schema version 9; this version of distill3d reads 1"):
        read_meta(path)
    for wrong in ("[]", "{", json.dumps({"schema_version": 1})):
        (path / META).write_text(wrong)
        with pytest.raises(CardError, match=r"meta.json: not a checkpoint's"):
            read_meta(path)
