"""What nearly every command is given: a configuration, changes of it, and a workspace."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from cache.data_sets import PREPARED, ScanSet
from cache.workspace import Workspace
from pipeline.config import load_section
from stages.settings import ConfigError

S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True)
class Choices:
    """A configuration by name or file, `section.key=value` changes, and the workspace's paths."""

    config: str
    overrides: Sequence[str]
    paths: Workspace

    @classmethod
    def of(cls, config: str, overrides: Sequence[str], workspace: Path) -> "Choices":
        """What a command's options say."""
        return cls(config, tuple(overrides), Workspace(workspace))

    def section(self, name: str, schema: type[S]) -> S:
        """One stage's configuration. Raises ConfigError."""
        return load_section(self.config, name, schema, self.overrides)


def need(path: Path, todo: str) -> None:
    """Raise ConfigError if what an earlier step makes is not there; `todo` says which step."""
    if not path.exists():
        raise ConfigError(f"{path}: not there; {todo}")


def need_scans(paths: Workspace, data: str) -> Path:
    """The store of a prepared set of scans. Raises ConfigError if it is not there."""
    store = paths.scans(data)
    if not store.is_dir():
        raise ConfigError(why_no_scans(paths, data))
    return store


def why_no_scans(paths: Workspace, data: str) -> str:
    """Say what makes a set of scans that is not there, also where an earlier version's lies."""
    store = paths.scans(data)
    if data == ScanSet.SCANNET and paths.earlier_scans.is_dir():
        return (
            f"{paths.earlier_scans}: of an earlier version, without its classes; run prepare scannet, "
            f"which writes {store}, then delete it"
        )
    return f"{store}: not there; run prepare {data}" + _what_can_be(data)


def why_no_objects(paths: Workspace, data: str) -> str:
    """Say what makes a set of objects that is not there."""
    return f"{paths.objects(data)}: not there; run prepare {data}" + _what_can_be(data)


def _what_can_be(data: str) -> str:
    return "" if data in PREPARED else f", which knows {', '.join(PREPARED)}"
