"""The card of a sample world, which can be read without what makes one."""

import json
from pathlib import Path

from cache.card import Card, CardError

CARD_FILE = "artifact.json"


def world_card(out: Path) -> Card:
    """Return the card of a sample world. Raises CardError if `out` is none."""
    file = out / CARD_FILE
    try:
        return Card.from_dict(json.loads(file.read_text()), where=str(file))
    except FileNotFoundError:
        raise CardError(
            f"{out} is there and is no sample world; remove it, or choose another place"
        ) from None
    except json.JSONDecodeError as error:
        raise CardError(f"{file}: not JSON: {error}; remove {out}") from None
