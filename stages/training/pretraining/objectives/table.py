"""Every objective, by its settings."""

from typing import assert_never

from stages.training.networks.shapes import EncoderShape
from stages.training.pretraining.data import Data
from stages.training.pretraining.objectives.frames import WholeFrame
from stages.training.pretraining.objectives.joint import Joint
from stages.training.pretraining.objectives.masked import MaskedPatches
from stages.training.pretraining.objectives.maskpoint import RealOrFake
from stages.training.pretraining.objectives.objective import Objective
from stages.training.pretraining.objectives.patches import PatchTokens
from stages.training.pretraining.objectives.settings import (
    ConceptSettings,
    DenseSettings,
    JointSettings,
    LocalSettings,
    MaskedSettings,
    MaskPointSettings,
    ObjectiveSettings,
    PooledSettings,
)


def build_objective(settings: ObjectiveSettings, encoder: EncoderShape, data: Data) -> Objective:
    """Make the objective that is asked for."""
    match settings:
        case JointSettings():
            return Joint(settings, encoder, data)
        case ConceptSettings() | PooledSettings():
            return WholeFrame(settings, encoder, data)
        case LocalSettings() | DenseSettings():
            return PatchTokens(settings, encoder, data)
        case MaskedSettings():
            return MaskedPatches(settings, encoder)
        case MaskPointSettings():
            return RealOrFake(settings, encoder)
        case other:
            assert_never(other)
