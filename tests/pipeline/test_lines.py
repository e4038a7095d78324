"""How `inspect` writes a configuration."""

import pytest

from pipeline.lines import configuration

CONFIG = {
    "name": "a",
    "encoder": {"width": 384, "depth": 12, "near": True},
    "ema": None,
    "sync": False,
    "scale": [0.6666666666666666, 1.5],
    "long": "x" * 90,
    "last": 0,
}


@pytest.mark.parametrize("columns", [45, 80, 300])
def test_a_configuration_is_as_wide_as_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    configuration("made with", CONFIG)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("made with          name a")
    assert all(line.startswith(" " * 19) and line[19] != " " for line in lines[1:])
    # What is longer than a line has one of its own.
    assert all(
        len(line) <= columns for line in lines if " long x" not in line and "scale" not in line
    )
    said = " ".join(line[19:] for line in lines)
    assert said == (
        "name a, encoder.width 384, encoder.depth 12, encoder.near True, "
        f"scale [0.6666666666666666, 1.5], long {'x' * 90}, last 0"
    )
    assert (len(lines) == 1) == (columns == 300)


def test_an_empty_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    configuration("made with", {})
    assert capsys.readouterr().out.strip() == "made with"
