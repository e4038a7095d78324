"""The variants that are shipped: what each changes, and which row of the paper it is."""

from dataclasses import dataclass

from pipeline.config import VARIANTS, header_of, shipped_configs

KEYS = ("changes", "paper", "source", "needs", "open")


@dataclass(frozen=True)
class Variant:
    """A file of `configs/variants` that says under `variant` what it is.

    `paper` is its row there, `source` where its values are from, `needs` what must be made before, `open`
    what the paper leaves open and how it is read.
    """

    name: str
    changes: str
    paper: str
    source: str = ""
    needs: str = ""
    open: str = ""

    def over(self, config: str) -> str:
        """The configuration that has this variant's own values over another's."""
        return f"{config}+{VARIANTS}/{self.name}"


def all_variants() -> list[Variant]:
    """Every variant of pre-training, by name."""
    found = []
    for config in shipped_configs():
        header = header_of(config) if config.startswith(f"{VARIANTS}/") else {}
        if header:
            said = {key: str(header.get(key, "")) for key in KEYS}
            found.append(Variant(config.removeprefix(f"{VARIANTS}/"), **said))
    return found
