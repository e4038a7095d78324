"""The card of an artifact: what it is, from which configuration and inputs, and what it holds.

A card is written last, so its presence means that the artifact is complete. It holds no absolute
path and no clock time: the same work gives the same card.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Self

JsonDict = dict[str, Any]


class CardError(ValueError):
    """An artifact that is not what its card says, or not what was asked for."""


class OtherConfigurationError(CardError):
    """An artifact is there already, made from another configuration or input."""


@dataclass(frozen=True)
class Card:
    """Identity (`kind`, `schema_version`, `config`, `inputs`) and record (`counts`, `details`).

    Only the identity enters the fingerprint. `config` is the resolved configuration as plain JSON
    types; `inputs` names what was read, cheap enough to compare without opening it.
    """

    kind: str
    schema_version: int
    config: JsonDict
    inputs: JsonDict
    counts: JsonDict = field(default_factory=dict)
    details: JsonDict = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change whenever the identity does."""
        return fingerprint([self.kind, self.schema_version, self.config, self.inputs])

    def to_dict(self) -> JsonDict:
        """Return plain JSON types, the fingerprint included."""
        return {**asdict(self), "fingerprint": self.fingerprint}

    @classmethod
    def from_dict(cls, raw: object, *, where: str) -> Self:
        """Check and rebuild a card. Raises CardError naming `where`."""
        names = {"kind", "schema_version", "config", "inputs", "counts", "details"}
        if not isinstance(raw, dict) or set(raw) != names | {"fingerprint"}:
            raise CardError(f"{where}: its card is not one of ours; was it written by distill3d?")
        card = cls(**{name: raw[name] for name in names})
        if card.fingerprint != raw["fingerprint"]:
            raise CardError(
                f"{where}: its card was altered: it says fingerprint {raw['fingerprint']}, its "
                f"contents give {card.fingerprint}; write the artifact again"
            )
        return card


def fingerprint(value: object) -> str:
    """Hash plain JSON types, independent of the order of keys, to sixteen hex digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def differences(found: JsonDict, asked: JsonDict, prefix: str = "") -> list[str]:
    """Name every key in which two configurations differ: `stride_frames: 25 there, 10 asked`."""
    lines = []
    for key in sorted(found.keys() | asked.keys()):
        there, wanted = found.get(key), asked.get(key)
        if isinstance(there, dict) and isinstance(wanted, dict):
            lines += differences(there, wanted, f"{prefix}{key}.")
        elif there != wanted:
            lines.append(f"{prefix}{key}: {_said(there)} there, {_said(wanted)} asked")
    return lines


def _said(value: object) -> str:
    return "not set" if value is None else json.dumps(value)
