"""teacher-train: the official layouts, exact resume, both recipes, and that it learns."""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.modules.batchnorm import _BatchNorm

from cache.captions import CaptionedImage, read_captions, write_captions
from cache.card import Card, CardError
from cache.checkpoint import has_checkpoint
from stages.captioning.caption import judge
from stages.captioning.decode import load_captioner
from stages.loop.loop import Loop, NonFiniteError
from stages.precompute.teacher import decoding, teacher_train
from stages.precompute.teacher.caption_pairs import (
    load_pairs,
    read_described,
    telling_words,
    train_tokenizer,
    word_presence,
)
from stages.precompute.teacher.caption_task import CaptionTensors, Parts
from stages.precompute.teacher.clip_images import Preprocessing
from stages.precompute.teacher.clipcap import load_checkpoint, load_mapper
from stages.precompute.teacher.teachers import CHECKPOINT_FILE, TeacherConfig, load_teacher
from tests.harness.killed_pools import KilledPool
from tests.worlds.teacher import CONFIG, jpeg, train_tiny, write_color_captions


def test_the_folder_has_the_official_layouts(tmp_path: Path) -> None:
    folder = train_tiny(tmp_path)
    state = load_checkpoint(folder / CHECKPOINT_FILE)
    assert {key.split(".")[0] for key in state} == {"clip_project", "gpt"}
    assert load_mapper(state, where="x").shape.length == 3
    clip = open_clip.create_model(f"local-dir:{folder}")
    weights = load_file(folder / "open_clip_model.safetensors")
    for key, value in clip.state_dict().items():
        assert torch.equal(value, weights[key])
    losses = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in losses] == [1, 2]
    assert not list(tmp_path.glob("teacher/.tiny*"))


def test_it_learns_colours(tmp_path: Path) -> None:
    """Captions of unseen pictures name their colour; shuffled ones do not."""
    folder = train_tiny(tmp_path, CONFIG.model_copy(update={"epochs": 30}))
    teacher = load_teacher(TeacherConfig(source="trained"), trained=folder)
    state = load_checkpoint(folder / CHECKPOINT_FILE)
    captioner = load_captioner(state, str(folder), where="x")
    table = tmp_path / "table.html"
    found = judge(teacher, captioner, tmp_path / "captions.parquet", table=table)
    assert found.num_images == 6
    assert found.captions.f1 > 0.8 > found.shuffled.f1
    assert table.read_text().count("<img") == 6


@pytest.mark.parametrize("step", [1, 3, 5])  # of six: in an epoch, at its end, before the last
def test_a_stopped_training_goes_on_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    whole = train_tiny(tmp_path / "whole")
    train_step = Loop._train_step

    def stopped_after(self: Loop, *arguments: Any) -> int:
        train_step(self, *arguments)
        return signal.SIGTERM if self.position.step == step else 0

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_train_step", stopped_after)
        patch.setattr(Loop, "_is_save_due", lambda self: self.position.step == step)
        train_tiny(tmp_path / "stopped")
    hidden = tmp_path / "stopped" / "teacher" / ".tiny.training"
    assert has_checkpoint(hidden / "last") or step == 3
    stopped = train_tiny(tmp_path / "stopped")
    assert_equal(whole, stopped)
    assert not hidden.exists()


def test_a_replacement_that_is_stopped_goes_on_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --overwrite both times, which the teacher that it replaces still needs."""
    old = train_tiny(tmp_path, CONFIG.model_copy(update={"epochs": 1}))
    train_step, steps = Loop._train_step, []

    def stopped_after_two(self: Loop, *arguments: Any) -> int:
        train_step(self, *arguments)
        steps.append(self.position.step)
        return signal.SIGTERM if len(steps) == 2 else 0

    monkeypatch.setattr(Loop, "_train_step", stopped_after_two)
    for _ in range(2):
        teacher_train.run(
            CONFIG, captions=tmp_path / "captions.parquet", out=old, device=torch.device("cpu"),
            workers=0, overwrite=True,
        )  # fmt: skip
    assert steps == [1, 2, 3, 4, 5, 6]
    monkeypatch.undo()
    assert_equal(old, train_tiny(tmp_path / "undisturbed"))


def test_a_loss_that_is_not_finite_saves_its_batch(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError, match="not finite: "):
        train_tiny(tmp_path, CONFIG.model_copy(update={"lr": 1e30, "warmup_steps": 0}))
    hidden = tmp_path / "teacher" / ".tiny.training"
    assert load_file(hidden / "nonfinite" / "batch.safetensors")["rows"].shape == (8,)
    assert not (tmp_path / "teacher" / "tiny").exists()


def test_another_training_that_was_stopped_is_not_lost(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError):
        train_tiny(tmp_path, CONFIG.model_copy(update={"lr": 1e30, "epochs": 1, "warmup_steps": 0}))
    hidden = tmp_path / "teacher" / ".tiny.training"
    shutil.copytree(hidden / "nonfinite", hidden / "last")
    with pytest.raises(CardError, match=r"holds another run: .*lr: 1e\+30 there, 0.003 asked"):
        train_tiny(tmp_path)


def assert_equal(first: Path, second: Path) -> None:
    """Two trained teachers are the same."""
    for name in ("open_clip_model.safetensors", "metrics.jsonl", "artifact.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    states = [load_checkpoint(folder / CHECKPOINT_FILE) for folder in (first, second)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_decoders_that_are_killed_train_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "Pool", KilledPool)
        with pytest.raises(
            OSError,
            match=r"captions.parquet: scene0000_00 frame 0: the process that decodes it died",
        ):
            train_tiny(tmp_path / "killed", workers=1)
    assert not (tmp_path / "killed" / "teacher" / "tiny").exists()
    assert_equal(train_tiny(tmp_path / "killed", workers=1), train_tiny(tmp_path / "undisturbed"))


def test_it_is_trained_once_and_never_mixed(tmp_path: Path) -> None:
    folder = train_tiny(tmp_path)
    before = (folder / CHECKPOINT_FILE).stat().st_mtime_ns
    train_tiny(tmp_path)
    assert (folder / CHECKPOINT_FILE).stat().st_mtime_ns == before
    with pytest.raises(CardError, match="seed: 0 there, 1 asked"):
        train_tiny(tmp_path, CONFIG.model_copy(update={"seed": 1}))


@pytest.mark.parametrize("mapper", ["mlp", "transformer"])
def test_what_is_frozen_stays(tmp_path: Path, mapper: str) -> None:
    """The published recipes: the tower frozen, and the language model too with a transformer."""
    change = {"train_tower": False, "mapper": mapper, "train_language_model": mapper == "mlp"}
    if mapper == "transformer":
        change["small_language_model"] = CONFIG.small_language_model
    first = train_tiny(tmp_path / "a", CONFIG.model_copy(update={**change, "epochs": 1}))
    second = train_tiny(tmp_path / "b", CONFIG.model_copy(update={**change, "epochs": 2}))
    towers = [load_file(folder / "open_clip_model.safetensors") for folder in (first, second)]
    assert all(torch.equal(towers[0][key], towers[1][key]) for key in towers[0])
    states = [load_checkpoint(folder / CHECKPOINT_FILE) for folder in (first, second)]
    words = all(torch.equal(states[0][k], states[1][k]) for k in states[0] if k.startswith("gpt."))
    mappers = all(
        torch.equal(states[0][k], states[1][k]) for k in states[0] if k.startswith("clip_project.")
    )
    assert (words, mappers) == (mapper == "transformer", False)


def test_all_that_is_trained_moves(tmp_path: Path) -> None:
    """Tower, mapper and language model: a tower comes frozen, and once stayed so without a word."""
    first, second = (
        train_tiny(tmp_path / str(epochs), CONFIG.model_copy(update={"epochs": epochs, "lr": lr}))
        for epochs, lr in ((1, 1e-9), (2, 3e-3))
    )
    towers = [load_file(folder / "open_clip_model.safetensors") for folder in (first, second)]
    states = [load_checkpoint(folder / CHECKPOINT_FILE) for folder in (first, second)]
    learned = [name for name in towers[0] if name.startswith("visual.") and "num_b" not in name]
    assert learned
    for name in learned:
        assert not torch.allclose(towers[0][name], towers[1][name], atol=1e-6), name
    unused = ("attn.bias", "attn.masked_bias")  # the causal mask of older versions
    for name in (name for name in states[0] if not name.endswith(unused)):
        assert not torch.allclose(states[0][name], states[1][name], atol=1e-6), name


def test_captions_without_a_split_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a tower is loaded."""
    write_color_captions(tmp_path / "captions.parquet", val=0)
    monkeypatch.setattr(teacher_train, "open_clip_model", None)
    with pytest.raises(ValueError, match="no usable image of split val; it has no image"):
        train_tiny(tmp_path)
    assert not (tmp_path / "teacher" / "tiny").exists()


def test_words_and_tokens() -> None:
    captions = [("a red wall.", "the wall."), ("a blue wall.",)] * 20
    assert telling_words(captions) == ["blue", "red", "the"]
    assert word_presence(captions[:2], ["blue", "red"]).tolist() == [[0, 1], [1, 0]]
    tokenizer = train_tokenizer(captions, 300)
    text = "a blue wall."
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.encode(text)[-1] == tokenizer.encode(".")[0]


def test_norms_of_a_trained_tower_know_their_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the variance of 1 that they began with, after twenty steps on one batch."""
    found = []

    def keep(folder: Path, parts: Parts, *arguments: Any) -> None:
        found.append(parts)

    with monkeypatch.context() as patch:
        patch.setattr(teacher_train, "_save", keep)
        one_batch = {"batch_images": 24, "shift": 0.0, "flip": False, "epochs": 20, "lr": 1e-5}
        train_tiny(tmp_path, CONFIG.model_copy(update=one_batch))
    visual = found[0].clip.visual
    norms = [m for m in visual.modules() if isinstance(m, _BatchNorm)]
    assert norms
    running = [norm.running_var.clone() for norm in norms]
    given: list[torch.Tensor] = []
    for norm in norms:
        norm.register_forward_pre_hook(
            lambda _, inputs: given.append(inputs[0].transpose(0, 1).flatten(1).var(dim=1))
        )
    pairs = load_pairs(
        read_described(tmp_path / "captions.parquet", "train"), found[0].preprocessing, 0
    )
    images = CaptionTensors(pairs, found[0], torch.device("cpu")).images(torch.arange(len(pairs)))
    visual.train()
    with torch.no_grad():
        visual(images)
    ratios = [(a.median() / b.median()).item() for a, b in zip(running, given, strict=True)]
    assert all(0.8 < ratio < 1.2 for ratio in ratios), ratios


def test_captions_that_tell_no_images_apart_have_a_loss_all_the_same(tmp_path: Path) -> None:
    """All alike: there is no word to learn to name, which once made the loss NaN."""
    items = [
        CaptionedImage(
            jpeg((n, n, n), n), ("a wall",), f"scene{n:04d}_00", 0, "val" if n < 4 else "train"
        )
        for n in range(20)
    ]
    write_captions(tmp_path / "captions.parquet", items, Card("walls", 1, {}, {}))
    folder = train_tiny(tmp_path, CONFIG.model_copy(update={"epochs": 1}))
    (line,) = (folder / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["caption_loss"] > 0


def test_a_prefix_that_leaves_no_room_for_words_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"prefix_length = 96: the language model has 96 positions"
    ):
        train_tiny(tmp_path, CONFIG.model_copy(update={"prefix_length": 96}))


def test_empty_captions_are_left_out_and_images_without_any_too(tmp_path: Path) -> None:
    captions = [("",), (" . ", "a red wall"), ("a blue wall",), ("...",)] * 6
    items = [
        CaptionedImage(jpeg((9, 9, n), n), own, f"scene{n:04d}_00", 0, "val" if n < 4 else "train")
        for n, own in enumerate(captions)
    ]
    path = tmp_path / "captions.parquet"
    write_captions(path, items, Card("walls", 1, {}, {}))
    pixels = Preprocessing(8, "center", (0.5,) * 3, (0.5,) * 3)
    pairs = load_pairs(read_described(path, "train"), pixels, 0)
    assert set(pairs.captions) == {("a red wall.",), ("a blue wall.",)}
    assert len(pairs) == 10
    assert pairs.left_out == {
        "empty captions": 15,
        "images of which nothing is said": 10,
        "images that cannot be decoded": 0,
    }


def test_what_cannot_be_used_is_said_and_not_judged(tmp_path: Path) -> None:
    """Of the held-out images one is broken and of one nothing is said."""
    path = tmp_path / "captions.parquet"
    write_color_captions(path)
    items = list(read_captions(path))
    items[-1] = replace(items[-1], captions=("",))
    items[-2] = replace(items[-2], image=b"broken")
    write_captions(path, items, Card("colours", 1, {}, {}))
    said: list[str] = []
    folder = tmp_path / "teacher" / "tiny"
    config = CONFIG.model_copy(update={"epochs": 1})
    teacher_train.run(
        config, captions=path, out=folder, device=torch.device("cpu"), workers=0, say=said.append
    )
    assert said == [
        "teacher-train: left out of val: empty captions: 1, images of which nothing is said: 1, "
        "images that cannot be decoded: 1"
    ]
    teacher = load_teacher(TeacherConfig(source="trained"), trained=folder)
    captioner = load_captioner(load_checkpoint(folder / CHECKPOINT_FILE), str(folder), where="x")
    assert judge(teacher, captioner, path).num_images == 4
