"""Pre-trainings that are compared: a configuration and its variants, each over several seeds."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cache.scene_group import Listing
from pipeline.choices import Choices
from pipeline.variants import Variant, all_variants
from stages.settings import ConfigError

if TYPE_CHECKING:
    from stages.training.pretraining.config import PretrainConfig

OURS = Variant("ours", "nothing: the configuration as it is", "the paper's method")


@dataclass
class Arms:
    """What each arm's pre-training is told and reads; stores are listed once."""

    choices: Choices
    _listings: dict[Path, Listing] = field(default_factory=dict)
    _found: "dict[str, PretrainConfig]" = field(default_factory=dict)

    def named(self, name: str) -> Variant:
        """An arm by name. Raises ConfigError if there is none."""
        known = {variant.name: variant for variant in (OURS, *all_variants())}
        if name not in known:
            raise ConfigError(f"{name}: no such variant; known are {', '.join(known)}")
        return known[name]

    def choices_of(self, name: str) -> Choices:
        """The configuration with an arm's values over it."""
        variant = self.named(name)
        own = self.choices.config if variant is OURS else variant.over(self.choices.config)
        return Choices(own, self.choices.overrides, self.choices.paths)

    def settings(self, name: str, number: int = 0) -> "PretrainConfig":
        """What an arm's pre-training is told; `number` counts from the configured seed on."""
        settings = self._configured(name)
        if number == 0:
            return settings
        training = settings.training.model_copy(update={"seed": settings.training.seed + number})
        return settings.model_copy(
            update={"name": f"{settings.name}-{number}", "training": training}
        )

    def store(self, settings: "PretrainConfig") -> Path | None:
        """The teacher's store, None without one."""
        return self.choices.paths.prefixes(settings.teacher) if settings.teacher else None

    def why_not(self, name: str) -> str:
        """What of its teacher's store is missing, nothing if it can be run."""
        settings = self.settings(name)
        store = self.store(settings)
        if store is None:
            return ""
        if not store.is_dir():
            return f"{store}: not there; run teacher-cache for it"

        from cache.prefixes import identity_of

        there = {"prefix", *identity_of(self._listed(store))["identity"].get("arrays", ())}
        missing = [name for name in settings.objective.arrays if name not in there]
        if missing:
            wanted = ", ".join(sorted({"clip", "patches"} & {*there, *missing}))
            return (
                f"{store} has no {' and '.join(missing)}; run teacher-cache --overwrite with --set "
                f'"teacher.arrays=[{wanted}]"'
            )
        return ""

    def fingerprint(self, name: str, number: int = 0) -> str:
        """What tells an arm's pre-training from all others."""
        from stages.training.pretraining.pretrain import card_of

        settings = self.settings(name, number)
        store, points = self.store(settings), self._listed(self.choices.paths.points)
        return card_of(settings, points, self._listed(store) if store else None).fingerprint

    def _configured(self, name: str) -> "PretrainConfig":
        from stages.training.pretraining.config import PretrainConfig

        if name not in self._found:
            self._found[name] = self.choices_of(name).section("pretrain", PretrainConfig)
        return self._found[name]

    def _listed(self, store: Path) -> Listing:
        if store not in self._listings:
            self._listings[store] = Listing.read(store)
        return self._listings[store]
