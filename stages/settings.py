"""What all configuration schemas share: frozen, and unknown keys are refused."""

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Settings(BaseModel):
    """Base of every stage's configuration; `pipeline.config` fills it from YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_not_one(cls, value: Any, info: ValidationInfo) -> Any:
        """Python takes `true` for 1; who writes it for a number meant something else."""
        kind: Any = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and kind is not bool and bool not in get_args(kind):
            raise ValueError(f"expected no true or false here, found {str(value).lower()}")
        return value
