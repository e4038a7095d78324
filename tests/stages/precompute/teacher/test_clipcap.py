"""ClipCap's mapper: prefixes of the official code, and what bad checkpoints say."""

import json
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch

from stages.precompute.teacher.clipcap import (
    MapperShape,
    build_mapper,
    load_checkpoint,
    load_mapper,
    weights_sha256,
)
from tests.conftest import REPOSITORY

GOLDEN = REPOSITORY / "tests" / "golden" / "clipcap"


@pytest.mark.parametrize("name", ["tiny_mlp", "tiny_transformer"])
def test_prefixes_are_those_of_the_official_model(name: str) -> None:
    state = load_checkpoint(GOLDEN / f"{name}.pt")
    assert any(key.endswith("attn.masked_bias") for key in state)  # a checkpoint of that age
    mapper = load_mapper(state, where=name)
    expected = np.load(GOLDEN / f"{name}.golden.npz")
    raw = torch.from_numpy(expected["clip_embedding_f16"]).float()
    with torch.inference_mode():
        np.testing.assert_allclose(mapper(raw), expected["prefix_from_raw"], atol=1e-5)
        unit = raw / raw.norm(2, -1, keepdim=True)
        np.testing.assert_allclose(mapper(unit), expected["prefix_from_normalised"], atol=1e-5)


def by_formula(key: str, shape: list[int], exp2: int, offset: float, seed: int) -> torch.Tensor:
    """The weights of true_dims.json, as the README of the golden set defines them."""
    h = (np.uint32(crc32(key.encode()) ^ seed) + np.arange(np.prod(shape), dtype=np.uint64)) % (
        1 << 32
    )
    h = h.astype(np.uint32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
        h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
    values = offset + (h.astype(np.float64) / 2**32 - 0.5) * 2.0 ** (exp2 + 1)
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


@pytest.mark.parametrize(("kind", "atol"), [("mlp", 1e-5), ("transformer", 5e-5)])
def test_true_sizes(kind: str, atol: float) -> None:
    facts = json.loads((GOLDEN / "true_dims.json").read_text())
    state = {
        f"clip_project.{t['key']}": by_formula(
            t["key"], t["shape"], t["exp2"], t["offset"], facts["seed"]
        )
        for t in facts["tensors"][kind]
    }
    mapper = load_mapper(state, where=kind)
    assert (mapper.shape.kind, mapper.shape.embed_dim) == (kind, 512)
    assert (mapper.shape.length, mapper.shape.width) == (10, 768)
    expected = np.load(GOLDEN / "true_dims.golden.npz")
    count = len(expected[f"{kind}_raw"])
    raw = torch.from_numpy(expected["clip_embedding_f16"][:count]).float()
    with torch.inference_mode():
        np.testing.assert_allclose(mapper(raw), expected[f"{kind}_raw"], atol=atol)


def test_files_that_are_no_checkpoint_are_named(tmp_path: Path) -> None:
    whole = (GOLDEN / "tiny_mlp.pt").read_bytes()
    path = tmp_path / "a.pt"
    with pytest.raises(ValueError, match=r"a.pt: no such file"):
        load_checkpoint(path)
    for bad in (b"", whole[:1000], whole[: len(whole) // 2], b"text" * 100):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=r"a.pt: not a checkpoint, or cut off"):
            load_checkpoint(path)
    for content in ([1, 2], {"a": 1}):
        torch.save(content, path)
        with pytest.raises(ValueError, match=r"a.pt: expected a state dict of tensors"):
            load_checkpoint(path)


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (print, ("run",))

    torch.save({"clip_project": Evil()}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "a.pt")


def test_mappers_that_do_not_fit_are_named() -> None:
    state = load_checkpoint(GOLDEN / "tiny_mlp.pt")
    only = {key: value for key, value in state.items() if key.startswith("clip_project.")}
    # Without the language model the width is unknown, and follows from the prefix length.
    assert load_mapper(only, where="x", length=10).shape.width == 48
    cases = {
        "no ClipCap mapper in it": {"gpt.x": torch.zeros(1)},
        r"model.0.bias missing, expected": {k: v for k, v in state.items() if "0.bias" not in k},
        r"model.2.bias \(3,\), expected \(480,\)": {**state, "clip_project.model.2.bias": torch.zeros(3)},
        "unknown model.4.weight": {**state, "clip_project.model.4.weight": torch.zeros(3)},
        "model.2.bias has values that are not finite": {
            **state, "clip_project.model.2.bias": torch.full((480,), torch.nan)
        },
    }  # fmt: skip
    for message, bad in cases.items():
        with pytest.raises(ValueError, match=f"x: .*{message}"):
            load_mapper(bad, where="x")


def test_the_hash_is_of_the_weights_not_of_the_file() -> None:
    torch.manual_seed(0)
    mapper = build_mapper(MapperShape("transformer", 8, 2, 16, 3, 1))
    state = mapper.state_dict()
    backwards = dict(reversed(list(state.items())))
    assert weights_sha256(state) == weights_sha256(backwards)
    changed = {**state, "prefix_const": state["prefix_const"] + 1e-6}
    assert weights_sha256(state) != weights_sha256(changed)
    assert mapper(torch.zeros(4, 8)).shape == (4, 2, 16)
