"""What a student can learn by, and with which settings: one schema each, told apart by `kind`."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from stages.settings import Settings
from stages.training.networks.shapes import HEAD_WIDTH, HeadKind

Loss = Literal["mse", "cosine", "infonce"]
DEFAULT_KIND = "concepts"  # of an objective that names none: the paper's
FrameTarget = Literal["prefix", "clip"]
TargetNorm = Literal["none", "standardize"]


class FrameSettings(Settings):
    """Of objectives that predict one target of a whole frame.

    `prefix` is the captioner's (the paper), `clip` the tower's embedding (its "w/o caption model"); both are
    arrays of the teacher's store.
    """

    needs_cameras: ClassVar[bool] = False
    target: FrameTarget = "prefix"
    loss: Loss = "mse"
    head_width: int = Field(HEAD_WIDTH, ge=1)  # of the two-layer head's hidden layer

    @property
    def arrays(self) -> tuple[str, ...]:
        """Of the teacher's store, what is learned."""
        return (self.target,)


class ConceptSettings(FrameSettings):
    """The paper's: concept queries look at every block and predict the prefix."""

    kind: Literal["concepts"] = "concepts"
    num_concepts: int = Field(32, ge=1)
    head: HeadKind = "flatten"


class PooledSettings(FrameSettings):
    """Without concepts (Table 5): the last block's tokens, pooled, predict it."""

    kind: Literal["pooled"] = "pooled"
    pool: Literal["max_mean", "flatten"] = "max_mean"


class LocalSettings(Settings):
    """Direct local alignment (Table 5): each image patch's token is that of its nearest 3D patch.

    `reach_cells` is how far a 3D patch may be projected from an image patch's middle, in widths of an image
    patch; one that has none within reach is left out. Without it the nearest is taken, however far.
    """

    needs_cameras: ClassVar[bool] = True
    arrays: ClassVar[tuple[str, ...]] = ("patches",)
    kind: Literal["local"] = "local"
    loss: Literal["mse", "cosine"] = "mse"
    reach_cells: float | None = Field(1.0, gt=0)


class DenseSettings(Settings):
    """Dense distillation: each 3D patch that is seen predicts the image patch's token that it falls in.

    The route of Concerto (Pointcept/Concerto @ 5b41117) and DITR. A patch is seen if the teacher's window
    shows it and no drawn point at that place is nearer by more than the share `hidden_by` of its depth.
    """

    needs_cameras: ClassVar[bool] = True
    arrays: ClassVar[tuple[str, ...]] = ("patches",)
    kind: Literal["dense"] = "dense"
    loss: Literal["mse", "cosine"] = "cosine"
    hidden_by: float = Field(0.1, gt=0, lt=1)


class MaskedSettings(Settings):
    """Masked autoencoding: Point-MAE's, by its cfgs/pretrain.yaml @ 7445a68.

    With `decoder_depth: 3` it is the paper's "only reconstruction" (Table 6).
    """

    needs_cameras: ClassVar[bool] = False
    arrays: ClassVar[tuple[str, ...]] = ()
    kind: Literal["masked"] = "masked"
    mask_ratio: float = Field(0.6, gt=0, lt=1)
    decoder_depth: int = Field(4, ge=1)
    chamfer: Literal["l2", "l1"] = "l2"


class JointSettings(ConceptSettings):
    """Distillation and reconstruction (Table 6); the losses are added, the second by its weight."""

    kind: Literal["joint"] = "joint"  # type: ignore[assignment]
    mask_ratio: float = Field(0.6, gt=0, lt=1)
    decoder_depth: int = Field(3, ge=1)
    chamfer: Literal["l2", "l1"] = "l2"
    reconstruction_weight: float = Field(1.0, ge=0)
    passes: Literal["two", "one"] = "two"


class MaskPointSettings(Settings):
    """MaskPoint's, by its cfgs/pretrain_scannet_enc12x.yaml @ f65c088.

    Of queries some are points of the cloud, as many random ones in its box; those nearer to the cloud than
    its own points are to each other are not judged.
    """

    needs_cameras: ClassVar[bool] = False
    arrays: ClassVar[tuple[str, ...]] = ()
    kind: Literal["maskpoint"] = "maskpoint"
    mask_ratio: float = Field(0.75, gt=0, lt=1)
    decoder_depth: int = Field(1, ge=1)
    real_queries: int = Field(256, ge=2)
    fake_queries: int = Field(256, ge=1)
    focal_alpha: float = Field(0.25, gt=0, lt=1)
    focal_gamma: float = Field(2.0, ge=0)


def _kind_of(value: Any) -> str:
    """Of settings, or of what is to become some; the paper's objective if nothing is said."""
    kind = (
        value.get("kind", DEFAULT_KIND) if isinstance(value, dict) else getattr(value, "kind", "")
    )
    return str(kind)


ObjectiveSettings = Annotated[
    Annotated[ConceptSettings, Tag("concepts")]
    | Annotated[PooledSettings, Tag("pooled")]
    | Annotated[LocalSettings, Tag("local")]
    | Annotated[DenseSettings, Tag("dense")]
    | Annotated[MaskedSettings, Tag("masked")]
    | Annotated[JointSettings, Tag("joint")]
    | Annotated[MaskPointSettings, Tag("maskpoint")],
    Discriminator(_kind_of),
]
