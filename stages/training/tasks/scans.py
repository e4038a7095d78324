"""What the tasks on scans share: which scans a split has, and which classes are judged."""

from cache.card import fingerprint
from cache.scans import scenes_of
from cache.scene_group import Listing
from cache.scene_set import SceneSet

HELD = "val"


def annotated(store: Listing, splits: tuple[str, ...]) -> list[str]:
    """Annotated scans of some splits, in order. Raises ValueError if there is none."""
    names = [name for split in splits for name in scenes_of(store, split)]
    if not names:
        raise ValueError(f"{store.path}: no annotated scene of {', '.join(splits)}; run prepare")
    return names


def scan_inputs(store: Listing, splits: tuple[str, ...]) -> dict[str, str]:
    """Fingerprints of what is learned from, and of what is judged on. Raises ValueError."""
    return {
        name: fingerprint([store.card(scene).fingerprint for scene in annotated(store, own)])
        for name, own in (("train", splits), (HELD, (HELD,)))
    }


def scene_set(store: Listing) -> SceneSet:
    """Which set a store is, by its own card. Raises CardError if it does not say it."""
    return SceneSet.of(store.attributes, where=str(store.path))
