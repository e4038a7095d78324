"""What the tasks on scans share: which scans a split has, and which classes are judged."""

from pathlib import Path

from cache.card import fingerprint
from cache.scans import scenes_of
from cache.scene_group import Listing
from cache.scene_set import SceneSet

HELD = "val"
SHOWN = 3  # names in a message


def annotated(store: Listing, splits: tuple[str, ...], only: Path | None = None) -> list[str]:
    """Annotated scans of some splits, in order, all or those that the file `only` lists.

    Raises ValueError if there is none, or if one that is listed is not there.
    """
    names = [name for split in splits for name in scenes_of(store, split)]
    if not names:
        raise ValueError(f"{store.path}: no annotated scene of {', '.join(splits)}; run prepare")
    if only is None:
        return names
    wanted = read_scene_list(only)
    if unknown := [name for name in wanted if name not in names]:
        more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
        raise ValueError(
            f"{only}: lists {', '.join(unknown[:SHOWN])}{more}, which {store.path} does not have annotated in "
            f"{', '.join(splits)}; prepare them, or shorten the list"
        )
    return [name for name in names if name in wanted]


def read_scene_list(path: Path) -> list[str]:
    """Names of scenes, one a line, as the lists of ScanNet and of its Data Efficient benchmark have them.

    Raises ValueError if there is no such file, or no name in it, or a name twice.
    """
    try:
        names = path.read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read as a list of scenes: {error}") from None
    if not names:
        raise ValueError(f"{path}: no scene in it; expected a name a line")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{path}: {twice} is listed twice")
    return names


def scan_inputs(
    store: Listing, splits: tuple[str, ...], only: Path | None = None
) -> dict[str, str]:
    """Fingerprints of what is learned from, and of what is judged on. Raises ValueError."""
    parts = (("train", annotated(store, splits, only)), (HELD, annotated(store, (HELD,))))
    return {name: fingerprint([store.card(one).fingerprint for one in own]) for name, own in parts}


def scene_set(store: Listing) -> SceneSet:
    """Which set a store is, by its own card. Raises CardError if it does not say it."""
    return SceneSet.of(store.attributes, where=str(store.path))
