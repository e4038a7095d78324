"""Extracted recordings, read-only."""

from pathlib import Path

import pytest

from tests.worlds.extracted import run


@pytest.fixture(scope="package")
def extracted(scannet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("extracted")
    report = run(scannet, out)
    assert (report.extracted, report.failed, report.damaged) == (4, {}, {})
    return out
