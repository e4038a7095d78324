"""What all configuration schemas share: frozen, and unknown keys are refused."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class Settings(BaseModel):
    """Base of every stage's configuration; `pipeline.config` fills it from YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _rest_as_it_was(cls, value: Any, info: ValidationInfo) -> Any:
        """Of a part that has its own defaults here, what is not named keeps those."""
        default = cls.model_fields[str(info.field_name)].default
        if isinstance(value, dict) and isinstance(default, Settings):
            given = default.model_dump()
            if "kind" in given and value.get("kind", given["kind"]) != given["kind"]:
                return value  # another kind of it, which has its own
            return _over(default.model_dump(), value)
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_not_one(cls, value: Any, info: ValidationInfo) -> Any:
        """Python takes `true` for 1; who writes it for a number meant something else."""
        kind: Any = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and kind is not bool and bool not in get_args(kind):
            raise ValueError(f"expected no true or false here, found {str(value).lower()}")
        return value


def _over(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Values with some of them changed, in parts of parts too."""
    merged = dict(values)
    for key, value in changes.items():
        there = merged.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            value = _over(there, value)
        merged[key] = value
    return merged


S = TypeVar("S", bound=BaseModel)


class ConfigError(ValueError):
    """A configuration that cannot be used. The message says which key, where, and what to do."""


def validated(schema: type[S], values: Mapping[str, Any]) -> S:
    """Rebuild a configuration that an artifact carries. Raises ConfigError."""
    try:
        return schema.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(
            f"an artifact's configuration is of another version: {in_a_line(error)}"
        ) from None


def in_a_line(error: ValidationError) -> str:
    """What a schema found wrong, key by key."""
    said = (f"{'.'.join(map(str, item['loc']))}: {_message(item)}" for item in error.errors())
    return "; ".join(said)


def _message(item: "ErrorDetails") -> str:
    return item["msg"].removeprefix("Value error, ")
