"""What all configuration schemas share: frozen, and unknown keys are refused."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of every stage's configuration; `pipeline.config` fills it from YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
