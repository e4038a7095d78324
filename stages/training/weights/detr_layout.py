"""3DETR's published checkpoints by the names of our detector (facebookresearch/3detr @ a5d1aad)."""

from collections.abc import Mapping

from torch import Tensor

# The sequences of (linear, norm, activation, ...) that its layers lie in, and how long a step is.
_PROJECTION, _HEADS = "encoder_to_decoder_projection.layers", "heads"
_STEPS = {_PROJECTION: 3, _HEADS: 4}
_RENAMED = (
    ("pre_encoder.mlp_module.layer", "encoder.gather.layers."), (".bn.bn.", ".norm."),
    (".conv.weight", ".linear.weight"), ("decoder.norm.", "norm."), ("decoder.layers.", "layers."),
    ("multihead_attn", "cross_attn"), ("pos_embedding.gauss_B", "position.frequencies"),
    ("query_projection.layers.", "query."),
    ("mlp_heads.sem_cls_head", "heads.logits"), ("mlp_heads.center_head", "heads.offset"),
    ("mlp_heads.size_head", "heads.size"), ("mlp_heads.angle_residual_head", "heads.angle"),
)  # fmt: skip


def is_detr(state: Mapping[str, Tensor]) -> bool:
    """True for a model of 3DETR."""
    return "pos_embedding.gauss_B" in state and any(n.startswith("mlp_heads.") for n in state)


def from_detr(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return its tensors by our names, and those that have no place here.

    Only its angle classes have none: ScanNet's boxes have one angle. Raises ValueError if it is of
    3DETR-m.
    """
    if any("interim_downsampling" in name for name in state):
        raise ValueError("it is of 3DETR-m, whose masked encoder is not this one; 3DETR's is")
    found, dropped = {}, []
    for key, value in state.items():
        name = key
        if "angle_cls_head" in name:
            dropped.append(name)
            continue
        if name.startswith("encoder.layers."):
            name = name.replace("encoder.layers.", "encoder.layers.layers.", 1)
        for theirs, ours in _RENAMED:
            name = (
                name.replace(theirs, ours)
                if not (ours == "layers." and "encoder" in name)
                else name
            )
        for kind, step in _STEPS.items():
            name = _place(name, kind, step)
        found[name] = value.flatten(1) if value.ndim > 2 else value
    return found, tuple(dropped)


def _place(name: str, kind: str, step: int) -> str:
    """Layers in a flat sequence of (linear, norm, activation, ...) by their place in it."""
    if kind == _HEADS and name.startswith("heads."):
        head, _, rest = name.removeprefix("heads.").partition(".layers.")
        number, _, what = rest.partition(".")
        layer, part = divmod(int(number), step)
        target = "last" if layer == 2 else f"hidden.{layer}.{'norm' if part else 'linear'}"
        return f"heads.{head}.{target}.{what}"
    if name.startswith(kind):
        number, _, what = name.removeprefix(f"{kind}.").partition(".")
        layer, part = divmod(int(number), step)
        return f"project.{layer}.{'norm' if part else 'linear'}.{what}"
    return name
