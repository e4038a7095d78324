"""Captions of images, of cached frames, and of a held-out set to judge a trained teacher by."""

import html
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cache.captions import CaptionedImage, captions_card, read_captions
from cache.frames import KEPT, frames_path, read_frames
from cache.prefixes import PREFIX, VALID, read_array
from stages.captioning.decode import Captioner
from stages.captioning.scores import NounScores, noun_finder, score_nouns
from stages.precompute.teacher.caption_pairs import names_of, read_described, telling_words
from stages.precompute.teacher.clip_images import Pixels
from stages.precompute.teacher.decoding import Decoded, Decoder
from stages.precompute.teacher.teachers import Teacher

BATCH_IMAGES = 64
EXAMPLES = 24


@dataclass(frozen=True)
class Judgement:
    """Nouns of captions of unseen images, and of captions of other images (the control)."""

    captions: NounScores
    shuffled: NounScores
    num_images: int


def caption_image(teacher: Teacher, captioner: Captioner, encoded: bytes, *, beams: int) -> str:
    """Say what an image shows. Raises ValueError if it cannot be decoded."""
    try:
        pixels = teacher.tower.preprocessing(encoded)
    except ValueError as error:
        raise ValueError(f"the image cannot be decoded: {error}") from None
    device = teacher.get_buffer("mean").device
    prefix = teacher(torch.from_numpy(pixels.copy())[None].to(device))["prefix"]
    return captioner.captions(prefix, beams=beams)[0]


def frame_prefix(*, frames: Path, store: Path, scene_id: str, frame_index: int) -> Tensor:
    """The cached prefix (L, D) of a frame: no image is opened, and no model is needed.

    Raises ValueError if the frame was not sampled, not kept, or could not be decoded.
    """
    rows = read_frames(frames_path(frames, scene_id), ["frame_index", "status", "row"]).to_pylist()
    where = f"{scene_id}:{frame_index}"
    row = next((row for row in rows if row["frame_index"] == frame_index), None)
    if row is None:
        there = ", ".join(str(row["frame_index"]) for row in rows[:5])
        raise ValueError(f"{where}: this frame was not sampled; sampled are {there}, ...")
    if row["status"] != KEPT:
        raise ValueError(f"{where}: this frame was rejected: {row['status']}")
    if not read_array(store, scene_id, VALID)[row["row"]]:
        raise ValueError(f"{where}: its image could not be decoded")
    return torch.from_numpy(read_array(store, scene_id, PREFIX)[row["row"]]).float()


def caption_prefix(captioner: Captioner, prefix: Tensor, *, beams: int) -> str:
    """Say what a prefix (L, D) says. Raises ValueError if it is not of this language model's width."""
    width = captioner.model.config.n_embd
    if prefix.shape[1] != width:
        raise ValueError(
            f"the cached prefix has {prefix.shape[1]} numbers a token, the configured language model "
            f"{width}; name the teacher that the prefixes are of (teacher.source, teacher.trained)"
        )
    return captioner.captions(prefix[None].to(captioner.model.device), beams=beams)[0]


def judge(
    teacher: Teacher, captioner: Captioner, captions: Path, *, table: Path | None = None
) -> Judgement:
    """Caption the images of the split `val` and score their nouns, beside shuffled captions.

    They are those that training takes: of which something is said, and that can be decoded.
    The nouns are those that the file's card names, else words that tell its images apart. `table`
    is an HTML page of images with what is said of them.
    """
    items: list[CaptionedImage] = []
    said: list[str] = []
    described = read_described(captions, "val").items
    for start in range(0, len(described), BATCH_IMAGES):
        batch = described[start : start + BATCH_IMAGES]
        decoded = _decode(teacher, captions, batch)
        items += [item for item, valid in zip(batch, decoded.valid, strict=True) if valid]
        said += _caption_pixels(teacher, captioner, decoded.pixels[decoded.valid])
    truths = [item.captions for item in items]
    find = noun_finder(_nouns(captions))
    order = np.random.default_rng(0).permutation(len(said))
    shuffled = [said[i] for i in order]
    if table:
        _write_table(table, items, said)
    return Judgement(
        score_nouns(said, truths, find), score_nouns(shuffled, truths, find), len(items)
    )


def _decode(teacher: Teacher, captions: Path, items: Sequence[CaptionedImage]) -> Decoded:
    with Decoder(teacher.tower.preprocessing, workers=0) as decoder:
        images = [item.image for item in items]
        return decoder.submit(images, names_of(captions, items)).result()


def _caption_pixels(teacher: Teacher, captioner: Captioner, pixels: Pixels) -> list[str]:
    """Say what prepared images (B, S, S, 3) show."""
    if not len(pixels):
        return []
    device = teacher.get_buffer("mean").device
    return captioner.captions(teacher(torch.from_numpy(pixels).to(device))["prefix"])


def _nouns(captions: Path) -> Mapping[str, Sequence[str]]:
    card = captions_card(captions)
    if card and "nouns" in card.details:
        nouns: Mapping[str, Sequence[str]] = card.details["nouns"]
        return nouns
    words = telling_words([item.captions for item in read_captions(captions, "train")])
    return {word: [word] for word in words}


def _write_table(path: Path, items: Sequence[CaptionedImage], said: Sequence[str]) -> None:
    """Write evenly chosen images, what was said, and what is true, as one self-contained page."""
    rows = []
    for index in np.linspace(0, len(items) - 1, min(EXAMPLES, len(items))).astype(int):
        source = f"data:image/jpeg;base64,{b64encode(items[index].image).decode()}"
        truth = "<br>".join(html.escape(caption) for caption in items[index].captions)
        rows.append(
            f'<tr><td><img src="{source}" width="240" alt=""></td>'
            f"<td><b>{html.escape(said[index])}</b></td><td>{truth}</td></tr>"
        )
    page = (
        "<!doctype html><meta charset='utf-8'><title>Captions</title>"
        "<style>body{font:15px sans-serif}td{padding:6px 14px;vertical-align:top}</style>"
        "<table><tr><th>image of an unseen room</th><th>the teacher's caption</th>"
        f"<th>reference captions</th></tr>{''.join(rows)}</table>"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page)
