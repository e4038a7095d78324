"""Captions: as written, as pandas sees them, and from files that others made."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from cache.captions import CaptionedImage, captions_card, read_captions, write_captions
from cache.card import Card, CardError

CARD = Card("captions", 1, {"seed": 0}, {})


def items(count: int) -> list[CaptionedImage]:
    return [
        CaptionedImage(bytes([n % 256]) * 500, (f"one {n}", f"two {n}"), f"scene{n // 4}", n,
                       "val" if n % 5 == 0 else "train")
        for n in range(count)
    ]  # fmt: skip


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "captions.parquet"
    write_captions(path, items(300), CARD)
    assert list(read_captions(path)) == items(300)
    assert [item.frame_index for item in read_captions(path, "val")] == list(range(0, 300, 5))
    assert captions_card(path) == CARD
    table = pd.read_parquet(path)
    assert len(table) == 600
    assert table["image"][3]["bytes"] == bytes([1]) * 500
    # An image with several sentences is stored once a row group.
    assert pq.read_metadata(path).num_row_groups == 3
    assert path.stat().st_size < 300 * 500 * 1.5


@pytest.mark.parametrize("as_struct", [True, False])
def test_files_of_others_need_two_columns(tmp_path: Path, as_struct: bool) -> None:
    images = [bytes([n]) * 50 for n in range(60) for _ in range(5)]
    table = pd.DataFrame(
        {
            "image": [{"bytes": image, "path": None} for image in images] if as_struct else images,
            "caption": [f"text {n}" for n in range(300)],
        }
    )
    path = tmp_path / "others.parquet"
    table.to_parquet(path)
    assert captions_card(path) is None
    found = list(read_captions(path))
    assert [len(item.captions) for item in found] == [5] * 60
    assert [item.frame_index for item in found] == list(range(60))
    train, val = (list(read_captions(path, split)) for split in ("train", "val"))
    assert len(train) + len(val) == 60
    assert 1 <= len(val) <= 15


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.parquet"
    for table, message in (
        (pd.DataFrame({"image": [b"x"], "text": ["a"]}), "expected the columns image and caption, found image, text"),
        (pd.DataFrame({"image": ["a.jpg"], "caption": ["a"]}), "image 0: expected encoded bytes"),
        (pd.DataFrame({"image": [b"x"], "caption": [3]}), "image 0: expected encoded bytes and a text"),
    ):  # fmt: skip
        table.to_parquet(path)
        with pytest.raises(CardError, match=f"bad.parquet: {message}"):
            list(read_captions(path))
    write_captions(path, items(40), CARD)
    whole = bytearray(path.read_bytes())
    for damaged in (whole[:-100], b"", bytes([*whole[:600], whole[600] ^ 1, *whole[601:]])):
        path.write_bytes(damaged)
        with pytest.raises(CardError, match=r"bad.parquet: cannot be read"):
            list(read_captions(path))
