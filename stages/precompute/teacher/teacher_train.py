"""Trains a ClipCap on pairs of image and caption: tower, mapper and language model, frozen or not.

The published recipes are a frozen CLIP with an MLP mapper and GPT-2 trained, or a transformer
mapper and GPT-2 frozen too. `small_tower` and `small_language_model` make all of it from nothing.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cache.captions import captions_card
from cache.card import Card, CardError, OtherConfigurationError, differences
from cache.commit import commit, lock, partial_path, remove
from cache.runs import RunFolder, read_metrics
from stages.loop.loop import Outcome, train
from stages.loop.processes import Processes
from stages.precompute.teacher.caption_config import SmallLanguageModel, TeacherTrainConfig
from stages.precompute.teacher.caption_pairs import (
    Pairs,
    counted,
    load_pairs,
    read_described,
    telling_words,
    train_tokenizer,
)
from stages.precompute.teacher.caption_task import Parts, caption_task
from stages.precompute.teacher.clipcap import PREFIX, MapperShape, build_mapper
from stages.precompute.teacher.teachers import CHECKPOINT_FILE
from stages.precompute.teacher.towers import open_clip_model, tower_of

KIND, SCHEMA_VERSION = "trained teacher", 3
CARD_FILE, METRICS_FILE = "artifact.json", "metrics.jsonl"
LOGGED = ("epoch", "caption_loss", "val_loss")
POSITIONS = 96  # of a small language model: the prefix and the longest caption
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def run(
    config: TeacherTrainConfig,
    *,
    captions: Path,
    out: Path,
    device: torch.device,
    workers: int = 1,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome | None:
    """Train on the split `train` of a captions file and save the teacher in the folder `out`.

    None if it is there already. A run that was stopped goes on where it stands, and ends with the same
    weights on the same device; until it is finished it lies in a hidden folder beside `out`. Raises
    ValueError if the captions cannot be used.
    """
    source = captions_card(captions)
    inputs = {"captions": source.fingerprint if source else captions.stat().st_size}
    wanted = Card(KIND, SCHEMA_VERSION, config.model_dump(mode="json"), inputs)
    processes = Processes()
    hidden = hidden_folder(out)
    with lock(out.parent / ".locks" / f"{out.name}.training", wait=True):
        if _is_complete(out, wanted, overwrite):
            remove(hidden)
            return None
        training = _begun(hidden, wanted, out.name, overwrite=overwrite)
        torch.manual_seed(config.seed)
        with partial_path(out) as folder, training.opened(processes):
            folder.mkdir()
            parts, train_set, val_set = _set_up(config, captions, folder, workers)
            for split, pairs in (("train", train_set), ("val", val_set)):
                if left_out := counted(pairs.left_out):
                    say(f"teacher-train: left out of {split}: {left_out}")
            task = caption_task(config, parts, train_set, val_set, device)
            loop_config = config.of_the_loop(task.num_rows)
            outcome = train(task, loop_config, training, device=device, processes=processes)
            if not outcome.finished:
                return outcome
            _save(folder, parts, read_metrics(training.path), wanted)
            commit(folder, out)
        remove(hidden)
    return outcome


def _begun(path: Path, wanted: Card, name: str, *, overwrite: bool) -> RunFolder:
    """The folder of the training; overwritten is only another one's, so that --overwrite goes on too."""
    folder = RunFolder(path, wanted, label=name)
    if overwrite and folder.other_run():
        folder = RunFolder(path, wanted, overwrite=True, label=name)
    return folder


def hidden_folder(out: Path) -> Path:
    """Where a teacher lies until it is finished."""
    return out.with_name(f".{out.name}.training")


def _set_up(
    config: TeacherTrainConfig, captions: Path, folder: Path, workers: int
) -> tuple[Parts, Pairs, Pairs]:
    described = [read_described(captions, split) for split in ("train", "val")]
    clip = _clip(config, folder)
    about = tower_of(clip).preprocessing
    margin = int(config.shift * about.size) if config.train_tower else 0
    larger = replace(about, size=about.size + margin)
    train, val = (load_pairs(one, larger, workers) for one in described)
    if config.small_language_model:
        small = config.small_language_model
        tokenizer = train_tokenizer(train.captions, small.vocabulary)
        language_model = _small_gpt2(small, len(tokenizer))
    else:
        tokenizer, language_model = _published_gpt2(config.language_model)
    embed_dim = _embed_dim(clip, about.size)
    shape = MapperShape(
        config.mapper, embed_dim, config.prefix_length, language_model.config.n_embd
    )
    words = nn.Linear(embed_dim, max(1, len(telling_words(train.captions))))
    return Parts(clip, language_model, tokenizer, build_mapper(shape), words, about), train, val


def _clip(config: TeacherTrainConfig, folder: Path) -> Any:
    """Make or load the open_clip model, and write its configuration into the teacher's folder."""
    import open_clip

    if config.small_tower is None:
        clip = open_clip_model(config.tower, config.pretrained)
        about = {
            "model_cfg": open_clip.get_model_config(config.tower),
            "preprocess_cfg": clip.visual.preprocess_cfg,
        }
        (folder / "open_clip_config.json").write_text(json.dumps(about, indent=2))
        return clip
    small = config.small_tower
    about = {
        "model_cfg": {
            "embed_dim": small.embed_dim,
            "vision_cfg": {
                "timm_model_name": small.trunk,
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "linear",
                "image_size": small.image_size,
            },
            # open_clip wants a text side; this one is as small as can be and never used.
            "text_cfg": {
                "context_length": 8, "vocab_size": 64, "width": 64, "heads": 1, "layers": 1,
            },
        },
        "preprocess_cfg": {"mean": CLIP_MEAN, "std": CLIP_STD},
    }  # fmt: skip
    (folder / "open_clip_config.json").write_text(json.dumps(about, indent=2))
    return open_clip_model(str(folder), None, seed=config.seed)


def _small_gpt2(small: SmallLanguageModel, vocabulary: int) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocabulary,
            n_positions=POSITIONS,
            n_embd=small.width,
            n_layer=small.layers,
            n_head=small.width // 64,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def _published_gpt2(name: str) -> tuple[Any, Any]:
    from transformers import AutoTokenizer, GPT2LMHeadModel

    from stages.machine.hub import go_offline_if_unreachable

    go_offline_if_unreachable()
    try:
        return AutoTokenizer.from_pretrained(name), GPT2LMHeadModel.from_pretrained(name)
    except Exception as error:
        raise ValueError(
            f"language model {name}: cannot be loaded: {str(error).splitlines()[0]} Put the files "
            "of https://huggingface.co/openai-community/gpt2 into a folder and name it: --set "
            "teacher_train.language_model=FOLDER"
        ) from None


def _embed_dim(clip: Any, size: int) -> int:
    with torch.inference_mode():
        return tower_of(clip).encode(torch.zeros(1, 3, size, size))[0].shape[1]


def _save(folder: Path, parts: Parts, metrics: Sequence[Mapping[str, Any]], card: Card) -> None:
    """Write open_clip's folder layout, the official ClipCap checkpoint, and the tokenizer."""
    from safetensors.torch import save

    weights = {k: v.detach().cpu().contiguous() for k, v in parts.clip.state_dict().items()}
    (folder / "open_clip_model.safetensors").write_bytes(save(weights))
    state = {f"{PREFIX}{k}": v.detach().cpu() for k, v in parts.mapper.state_dict().items()}
    state |= {f"gpt.{k}": v.detach().cpu() for k, v in parts.language_model.state_dict().items()}
    torch.save(state, folder / CHECKPOINT_FILE)
    parts.tokenizer.save_pretrained(folder)
    kept = ({key: line[key] for key in LOGGED} for line in metrics)  # the same of the same training
    (folder / METRICS_FILE).write_text("".join(json.dumps(line) + "\n" for line in kept))
    (folder / CARD_FILE).write_text(json.dumps(card.to_dict(), indent=2))


def teacher_card(folder: Path) -> Card:
    """Return the card of a trained teacher. Raises CardError if the folder is none."""
    try:
        return Card.from_dict(json.loads((folder / CARD_FILE).read_text()), where=str(folder))
    except (FileNotFoundError, json.JSONDecodeError):
        raise CardError(f"{folder}: no trained teacher; remove it, or name another") from None


def _is_complete(out: Path, wanted: Card, overwrite: bool) -> bool:
    if not out.exists():
        return False
    card = teacher_card(out)
    if card.fingerprint == wanted.fingerprint:
        return True
    if overwrite:
        return False
    changes = differences(
        {**card.config, **card.inputs, "schema": card.schema_version},
        {**wanted.config, **wanted.inputs, "schema": wanted.schema_version},
    )
    raise OtherConfigurationError(
        f"{out} was trained differently: {'; '.join(changes)}. Replace it with --overwrite, or "
        "choose another name: --set teacher_train.name=NAME"
    )
