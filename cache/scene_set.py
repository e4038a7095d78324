"""What a set of annotated scans is called and which classes it is judged on; on its store's card."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from cache.card import CardError

KEY = "scene_set"


@dataclass(frozen=True)
class Classes:
    """What a task judges, in its order: ids as scans have them, rising, and names."""

    ids: tuple[int, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        """How many classes."""
        return len(self.ids)


@dataclass(frozen=True)
class SceneSet:
    """A set of scans by its name, and the classes of both tasks on scans."""

    name: str
    segmentation: Classes
    detection: Classes

    def attributes(self) -> dict[str, Any]:
        """What the store's attributes say of it."""
        return {KEY: asdict(self)}

    @classmethod
    def of(cls, attributes: Mapping[str, Any], *, where: str) -> Self:
        """Read it from a store's attributes. Raises CardError if they do not say it."""
        try:
            raw = attributes[KEY]
            tasks = {
                task: Classes(
                    tuple(map(int, raw[task]["ids"])), tuple(map(str, raw[task]["names"]))
                )
                for task in ("segmentation", "detection")
            }
            name = str(raw["name"])
        except (KeyError, TypeError, ValueError):
            raise CardError(
                f"{where}: does not say which classes its scans have; run prepare again"
            ) from None
        for task, classes in tasks.items():
            if list(classes.ids) != sorted(set(classes.ids)) or len(classes.names) != len(classes):
                raise CardError(
                    f"{where}: its classes of {task} are not rising ids with a name each"
                )
        return cls(name, **tasks)
