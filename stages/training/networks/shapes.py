"""All that rebuilds each network, as a checkpoint keeps it; nothing here needs torch."""

from typing import Literal, Self

from pydantic import Field, model_validator

from stages.geometry.cloud_input import Normalisation
from stages.settings import Settings

NEIGHBORS = 3  # patches whose features a segmented point takes


class EncoderShape(Settings):
    """All that rebuilds an encoder. Defaults are the paper's student, which is Point-MAE's."""

    width: int = Field(384, ge=1)
    depth: int = Field(12, ge=1)
    num_heads: int = Field(6, ge=1)
    patch_hidden: int = Field(128, ge=1)  # first width of the patch embedding
    token_width: int | None = Field(None, ge=1)  # of the embedding, if not `width`
    num_patches: int = Field(64, ge=1)
    patch_size: int = Field(32, ge=1)
    drop_path: float = Field(0.1, ge=0, lt=1)
    position: Literal["every", "output"] = "every"
    norm: Literal["pre", "post"] = "pre"
    near_origin_rule: bool = True

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} is no multiple of {self.num_heads} heads")
        return self

    def check_points(self, num_points: int) -> None:
        """Raise ValueError if a cloud of so many points cannot be cut into these patches."""
        for name in ("patch_size", "num_patches"):
            if (needed := getattr(self, name)) > num_points:
                raise ValueError(
                    f"fewer points than encoder.{name} = {needed} needs; raise this, or lower that"
                )


HeadKind = Literal["flatten", "mixer"]
HEAD_WIDTH = 1024  # of the head that is thrown away; the paper gives none


class StudentShape(Settings):
    """All that rebuilds a student; `target` is (L, D) of what it predicts, the teacher's `array`."""

    encoder: EncoderShape = EncoderShape()
    target: tuple[int, int] = (10, 768)
    array: str = "prefix"
    num_concepts: int = Field(32, ge=1)
    head: HeadKind = "flatten"
    head_width: int = Field(HEAD_WIDTH, ge=1)


class PooledStudentShape(Settings):
    """All that rebuilds a student without concepts."""

    encoder: EncoderShape = EncoderShape()
    target: tuple[int, int] = (10, 768)
    array: str = "prefix"
    pool: Literal["max_mean", "flatten"] = "max_mean"
    head_width: int = Field(HEAD_WIDTH, ge=1)


class PatchStudentShape(Settings):
    """All that rebuilds a student of each patch's token, `target_width` wide."""

    encoder: EncoderShape = EncoderShape()
    target_width: int = Field(768, ge=1)


class MaskedShape(Settings):
    """All that rebuilds a masked autoencoder, by default Point-MAE's (cfgs/pretrain.yaml @ 7445a68)."""

    encoder: EncoderShape = EncoderShape()
    mask_ratio: float = Field(0.6, gt=0, lt=1)
    decoder_depth: int = Field(4, ge=1)

    @property
    def num_masked(self) -> int:
        """Of an encoder's patches, rounded down as the reference does."""
        return int(self.mask_ratio * self.encoder.num_patches)

    @model_validator(mode="after")
    def _some_are_seen_and_some_are_not(self) -> Self:
        if not 0 < self.num_masked < self.encoder.num_patches:
            raise ValueError(
                f"mask_ratio {self.mask_ratio} of {self.encoder.num_patches} patches masks "
                f"{self.num_masked}; some must be masked and some be seen"
            )
        return self


class JointShape(StudentShape):
    """All that rebuilds a student that predicts and reconstructs."""

    mask_ratio: float = Field(0.6, gt=0, lt=1)
    decoder_depth: int = Field(3, ge=1)
    passes: Literal["two", "one"] = "two"

    @property
    def masked(self) -> MaskedShape:
        """Of the reconstruction."""
        return MaskedShape(
            encoder=self.encoder, mask_ratio=self.mask_ratio, decoder_depth=self.decoder_depth
        )


class MaskPointShape(MaskedShape):
    """All that rebuilds MaskPoint's network, by its public ScanNet configuration @ f65c088."""

    mask_ratio: float = Field(0.75, gt=0, lt=1)
    decoder_depth: int = Field(1, ge=1)


class ClassifierShape(Settings):
    """All that rebuilds a classifier."""

    encoder: EncoderShape = EncoderShape()
    num_classes: int = Field(40, ge=2)


class PartSegmenterShape(Settings):
    """All that rebuilds a part segmenter; `blocks`, counted from 1, default to thirds of the depth."""

    encoder: EncoderShape = EncoderShape(num_patches=128)
    num_categories: int = Field(16, ge=1)
    num_parts: int = Field(50, ge=2)
    blocks: tuple[int, ...] = ()
    head_width: int = Field(1024, ge=4)  # of a point's features in the head

    @property
    def taken(self) -> tuple[int, ...]:
        """The blocks whose features are taken: 4, 8 and 12 of twelve."""
        depth = self.encoder.depth
        return self.blocks or tuple(sorted({-(-depth * third // 3) for third in (1, 2, 3)}))


class DetrEncoderShape(Settings):
    """3DETR's own encoder, the baseline."""

    num_tokens: int = Field(2048, ge=1)
    width: int = Field(256, ge=1)
    layers: int = Field(3, ge=1)
    heads: int = Field(4, ge=1)
    hidden: int = Field(128, ge=1)


class DetectorShape(Settings):
    """All that rebuilds a detector; `encoder` is ours, unless `kind` is `3detr`."""

    kind: Literal["student", "3detr"] = "student"
    encoder: EncoderShape = EncoderShape(num_patches=2048)
    own: DetrEncoderShape = DetrEncoderShape()
    norm_input: Normalisation = "unit_sphere"  # of ours; boxes stay in metres
    num_classes: int = Field(18, ge=1)
    width: int = Field(256, ge=2, multiple_of=2)
    layers: int = Field(8, ge=1)
    heads: int = Field(4, ge=1)
    hidden: int = Field(256, ge=1)
    num_queries: int = Field(256, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    head_dropout: float = Field(0.3, ge=0, lt=1)


class SegmenterShape(Settings):
    """All that rebuilds a segmenter."""

    encoder: EncoderShape = EncoderShape(num_patches=256)
    norm_input: Normalisation = "unit_sphere"
    num_classes: int = Field(20, ge=2)
    widths: tuple[int, int] = (512, 256)  # of the two blocks
    dropout: float = Field(0.5, ge=0, lt=1)


class RivalShape(Settings):
    """All that rebuilds a rival."""

    kind: Literal["pointnet", "pointnet2", "dgcnn"]
    task: Literal["classification", "parts", "segmentation"]
    num_outputs: int = Field(ge=2)
    num_categories: int = Field(16, ge=1)  # of parts
