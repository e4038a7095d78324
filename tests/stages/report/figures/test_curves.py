"""Curves of a run are drawn from what it logged."""

import json
from pathlib import Path

from PIL import Image

from stages.report.figures.curves import draw_curves


def test_curves_are_drawn(tmp_path: Path) -> None:
    lines = [
        {
            "epoch": n,
            "step": 10 * n,
            "loss": 1 / n,
            "lr": 0.1,
            **({"val_r2": 0.1 * n} if n % 2 else {}),
        }
        for n in range(1, 6)
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"epo')
    (tmp_path / "result.json").write_text(json.dumps({"bars": {"ridge_val_r2": 0.2}}))
    assert draw_curves(tmp_path, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.width > 600
        assert len(image.getcolors(1 << 24) or []) > 20


def test_nothing_logged_nothing_drawn(tmp_path: Path) -> None:
    assert draw_curves(tmp_path, tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()
