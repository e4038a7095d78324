"""What a command starts from, looked for before anything slow is imported: checkpoints and runs."""

from pathlib import Path

from cache.checkpoint import has_checkpoint
from cache.runs import FINE_TUNING, LAST, SCRATCH, read_card
from stages.settings import ConfigError


def check_start(source: str, named: str = "") -> None:
    """See that there is a checkpoint, or a file, or that none is wanted; `named` goes before the path.

    Raises ConfigError.
    """
    path = Path(source)
    if source == SCRATCH or path.is_file():
        return
    if not path.exists():
        raise ConfigError(
            f"{named}{source}: no such file or folder; expected a run, a checkpoint or {SCRATCH}"
        )
    if not _has_weights(path):
        raise ConfigError(
            f"{named}{source}: expected the folder of a run or of a checkpoint, {_what_is_in(path)}"
        )


def find_finetuned(path: Path, task: str = "") -> Path:
    """A run of `finetune`, of one task if given: the folder itself, or the only run in it.

    Raises ConfigError saying what the folder is, or which runs it has.
    """
    wanted = f"a run of finetune {task}".rstrip()
    if not path.is_dir():
        there = "it is a file" if path.exists() else "no such folder"
        raise ConfigError(f"{path}: {there}; expected the folder of {wanted}, such as .../seed0")
    card = read_card(path)
    if card is None:
        runs = _runs_in(path)
        if len(runs) == 1:
            return find_finetuned(runs[0], task)
        raise ConfigError(f"{path}: expected the folder of {wanted}, {_what_is_in(path)}")
    if not f"{card.kind}/".startswith(f"{FINE_TUNING}: {task}/" if task else f"{FINE_TUNING}: "):
        raise ConfigError(f"{path}: expected the folder of {wanted}, this is one of {card.kind}")
    return path


def _has_weights(path: Path) -> bool:
    return has_checkpoint(path) or has_checkpoint(path / LAST)


def _runs_in(path: Path) -> list[Path]:
    """Runs of different seeds, in their order."""
    found = [folder for folder in path.glob("seed*") if read_card(folder) is not None]
    return sorted(found, key=lambda folder: (len(folder.name), folder.name))


def _what_is_in(path: Path) -> str:
    runs = [folder.name for folder in _runs_in(path)]
    return f"found the runs {', '.join(runs)} in it; name one of them" if runs else "found none"
