"""Fixtures, and the number of fuzzed inputs in the closing summary."""

import os
from collections.abc import Callable
from pathlib import Path

# Before torch is imported: the tests run in several processes, and each one's threads would wait
# for the others' (a hundred times slower on small tensors).
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

from tests.worlds.recordings import write_scannet

# No test depends on how fast a machine is.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared"
FUZZED = pytest.StashKey[dict[str, int]]()


def golden_files(pattern: str) -> list[Path]:
    """The committed golden files, and those of the full set where it is there."""
    full = SHARED / "golden"
    files = {file.name: file for file in (REPOSITORY / "tests" / "golden").glob(pattern)}
    files |= {file.name: file for file in full.glob(pattern)} if full.is_dir() else {}
    return [files[name] for name in sorted(files)]


def real_data(name: str) -> Path:
    """A folder or file of real data, or a skip where it is not there."""
    path = SHARED / "real" / name
    if not path.exists():
        pytest.skip(f"real data {name} is not on this machine")
    return path


@pytest.fixture(scope="session")
def scannet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as ScanNet's release; treat it as read-only."""
    root = tmp_path_factory.mktemp("scannet")
    write_scannet(root, num_frames=24)
    return root


@pytest.fixture
def fuzzed(record_property: Callable[[str, object], None]) -> dict[str, int]:
    """Count fuzzed inputs by kind; the totals are printed after all tests."""
    counts: dict[str, int] = {}
    record_property("fuzzed", counts)
    return counts


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many inputs each fuzz test tried."""
    for report in terminalreporter.getreports("passed"):
        for name, counts in report.user_properties:
            if name == "fuzzed":
                tried = ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()))
                terminalreporter.write_line(f"fuzzed inputs: {tried}")
