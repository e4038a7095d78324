"""Image towers: open_clip's (CLIP, SigLIP, ...) and timm's (DINOv2, ...), with their preprocessing.

OpenAI's CLIP weights need the QuickGELU activation. Where it would be the wrong one, or nobody can
know which is right, loading is refused.
"""

import hashlib
import logging
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from stages.geometry.teacher_window import Crop
from stages.machine.hub import go_offline_if_unreachable
from stages.precompute.teacher.clip_images import Preprocessing

Activation = Literal["quickgelu", "gelu"]
Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Tower:
    """A frozen image tower, and how images must be prepared for it.

    `encode` takes normalised pixels (B, 3, S, S) and returns un-normalised global embeddings (B, E)
    and patch tokens (B, N, W), None if it has none; `patch_layer` says where those are taken.
    """

    module: nn.Module
    preprocessing: Preprocessing
    encode: Callable[[Tensor], tuple[Tensor, Tensor | None]]
    patch_layer: str = "last block, after the final norm"
    pooling: str | None = None  # of timm's: how tokens become the embedding


def open_clip_tower(
    model: str,
    pretrained: str | None,
    *,
    activation: Activation | None = None,
    crop: Crop | None = None,
    seed: int = 0,
) -> Tower:
    """Load a tower of open_clip, frozen.

    `model` is one of its model names or a folder with `open_clip_config.json`; `pretrained` one of
    its tags, a local file, or None for random weights by `seed`. Raises ValueError saying what to
    do if weights are not to be had, do not fit, or would run with the wrong activation.
    """

    whole = open_clip_model(model, pretrained, activation=activation, seed=seed)
    return tower_of(whole, crop=crop)


def open_clip_model(
    model: str, pretrained: str | None, *, activation: Activation | None = None, seed: int = 0
) -> Any:
    """Load a whole model of open_clip, see `open_clip_tower`; its text side has random weights."""
    import open_clip

    torch.manual_seed(seed)
    folder = Path(model)
    if (folder / "open_clip_config.json").is_file():
        whole = _create(f"local-dir:{folder}", None)
    elif pretrained is not None and _is_file(pretrained):
        whole = _from_file(model, Path(pretrained), activation)
    else:
        if model not in open_clip.list_models():
            raise ValueError(
                f"{model}: neither a model of open_clip (open_clip.list_models() has them) nor a "
                "folder with open_clip_config.json"
            )
        whole = _create(model, pretrained)
    return whole


def random_tower(model: str, *, crop: Crop | None = None, seed: int = 0) -> Tower:
    """A tower of open_clip with random weights by `seed`, frozen; of a folder only its shape is taken."""
    torch.manual_seed(seed)
    if (Path(model) / "open_clip_config.json").is_file():
        return tower_of(_create(f"local-dir:{model}", None, load_weights=False), crop=crop)
    return open_clip_tower(model, None, crop=crop, seed=seed)


def tower_of(whole: Any, *, crop: Crop | None = None) -> Tower:
    """Take the image tower of an open_clip model, frozen."""
    visual = whole.visual
    if hasattr(visual, "output_tokens"):
        visual.output_tokens = True
    about = visual.preprocess_cfg
    own: Crop = "squash" if about["resize_mode"] == "squash" else "center"
    size = about["size"] if isinstance(about["size"], int) else about["size"][0]
    preprocessing = Preprocessing(
        size=size,
        crop=crop or own,
        mean=tuple(about["mean"]),
        std=tuple(about["std"]),
        interpolation="bilinear" if about["interpolation"] == "bilinear" else "bicubic",
    )
    _freeze(visual)

    def encode(pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        if hasattr(visual, "trunk"):  # one of timm's inside open_clip
            features = visual.trunk.forward_features(pixels)
            return visual.head(visual.trunk.forward_head(features)), _patches(
                visual.trunk, features
            )
        output = visual(pixels)
        return output if isinstance(output, tuple) else (output, None)

    return Tower(visual, preprocessing, encode)


def timm_tower(model: str, pretrained: Path | None = None, *, crop: Crop | None = None) -> Tower:
    """Load a tower of timm, frozen, without its classifier; its own weights, or those of a file.

    A file is of tensors (safetensors, or a PyTorch state dict), in timm's names or in those of the
    model's authors that timm knows. Raises ValueError if there are none, or if they do not fit.
    """
    import timm

    if pretrained is None:
        go_offline_if_unreachable()
        try:
            module: Any = timm.create_model(model, pretrained=True, num_classes=0)
        except Exception as error:
            raise ValueError(
                f"timm's {model} cannot be loaded: {_first(error)}. Without a network, fetch its weights "
                "elsewhere and name the file: --set teacher.pretrained=PATH"
            ) from None
    else:
        module = _timm_from_file(model, pretrained)
    data: Any = timm.data
    about = data.resolve_model_data_config(module)
    preprocessing = Preprocessing(
        size=about["input_size"][-1],
        crop=crop or "center",
        mean=tuple(about["mean"]),
        std=tuple(about["std"]),
        interpolation="bilinear" if about["interpolation"] == "bilinear" else "bicubic",
    )
    _freeze(module)

    def encode(pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        features = module.forward_features(pixels)
        return module.forward_head(features, pre_logits=True), _patches(module, features)

    return Tower(module, preprocessing, encode, pooling=_pooling(module))


def _timm_from_file(model: str, path: Path) -> Any:
    """Make a model of timm and fill all of it from a file, then take it without its classifier."""
    import timm

    if not timm.is_model(model.partition(".")[0]):
        raise ValueError(f"{model}: not a model of timm (timm.list_models() has them)")
    tensors, _ = _read_weights(path)
    try:
        classes = _num_classes(tensors, timm.get_pretrained_cfg(model))
        # With as many classes as the file has, timm takes all of its tensors or none.
        overlay = {"state_dict": tensors, "num_classes": classes, "label_offset": 0}
        module: Any = timm.create_model(
            model, pretrained=True, num_classes=classes, pretrained_cfg_overlay=overlay
        )
    except Exception as error:  # whatever a file that is another model's can raise
        why = " ".join(str(error).split())[:300]
        raise ValueError(f"{path}: not the weights of timm's {model}: {why}") from None
    headless: Any = timm.create_model(model, num_classes=0)
    filled = module.state_dict()
    headless.load_state_dict({name: filled[name] for name in headless.state_dict()})
    return headless


def _num_classes(tensors: Mapping[str, Tensor], about: Any) -> int:
    """How many classes the classifier of a file tells apart, 0 if it has none."""
    if not tensors:
        raise ValueError("it has no tensors")  # timm would look for others on the hub
    names = about.classifier if about else None
    first = names if isinstance(names, str) else (names or ("",))[0]
    weight = tensors.get(f"{first}.weight")
    return 0 if weight is None else len(weight)


def _pooling(module: Any) -> str | None:
    """How a model of timm makes one embedding of its tokens or its map, in timm's words."""
    for owner in (module, getattr(module, "head", None)):
        pool = getattr(owner, "global_pool", None)
        if pool is not None:
            return str(getattr(pool, "pool_type", pool))
    return None


def _patches(trunk: Any, features: Tensor) -> Tensor:
    """Patch tokens (B, N, W) of a timm model's features: a map (B, W, H, W'), or tokens."""
    if features.ndim == 4:
        return features.flatten(2).transpose(1, 2)
    return features[:, getattr(trunk, "num_prefix_tokens", 0) :]


def _create(model: str, pretrained: str | None, **options: Any) -> Any:
    import open_clip

    if pretrained:
        go_offline_if_unreachable()
    logging.disable(logging.ERROR)  # it warns of random weights, and says errors twice
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            whole = open_clip.create_model(
                model, pretrained=pretrained, pretrained_text=False, **options
            )
        except Exception as error:  # whatever a download or a file can raise
            raise ValueError(
                f"{model}, {pretrained or 'its own weights'}: cannot be loaded: {_first(error)} "
                f"{_way_out(model, pretrained)}"
            ) from None
        finally:
            logging.disable(logging.NOTSET)
    mismatch = [str(w.message) for w in caught if "QuickGELU mismatch" in str(w.message)]
    if mismatch:
        raise ValueError(
            f"{mismatch[0]} The embeddings would differ silently; name the model with the right "
            "activation, such as ViT-B-32-quickgelu for OpenAI's weights"
        )
    return whole


def _from_file(model: str, path: Path, activation: Activation | None) -> Any:
    state, known = _read_weights(path)
    activation = known or activation
    if activation is None:
        raise ValueError(
            f"{path}: which activation these weights were trained with cannot be told from the "
            "file; say --set teacher.activation=quickgelu (OpenAI's CLIP) or =gelu"
        )
    if activation == "gelu" and model.endswith("quickgelu"):
        raise ValueError(f"{path}: activation gelu, but the model is {model}")
    whole = _create(model, None, force_quick_gelu=activation == "quickgelu")
    own = {
        k.removeprefix("visual."): v.float() for k, v in state.items() if k.startswith("visual.")
    }
    expected = whole.visual.state_dict()
    wrong = [
        f"{key} {tuple(own[key].shape) if key in own else 'missing'}, expected {tuple(value.shape)}"
        for key, value in expected.items()
        if key not in own or own[key].shape != value.shape
    ]
    if wrong:
        raise ValueError(
            f"{path}: not the weights of {model}: visual.{'; visual.'.join(wrong[:3])}"
        )
    whole.visual.load_state_dict({key: own[key] for key in expected})
    return whole


def _read_weights(path: Path) -> tuple[dict[str, Tensor], Activation | None]:
    """Return a file's tensors, and the activation if the file is a known one."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from stages.precompute.teacher.clipcap import load_checkpoint

    if path.suffix == ".safetensors":
        try:
            return load_file(path), None
        except SafetensorError as error:
            raise ValueError(f"{path}: not a safetensors file, or cut off: {error}") from None
    if not _is_torchscript(path):
        return load_checkpoint(path), None
    # OpenAI publishes TorchScript, which can run code: only the very files it published.
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 24):
            digest.update(block)
    if digest.hexdigest() not in _published_by_openai():
        raise ValueError(
            f"{path}: a TorchScript archive, which can run code when it is loaded, and its sha256 "
            f"{digest.hexdigest()} is none that OpenAI published; use a safetensors copy instead"
        )
    return dict(torch.jit.load(path, map_location="cpu").state_dict()), "quickgelu"


def _published_by_openai() -> set[str]:
    """The sha256 of OpenAI's CLIP files, which stand in their addresses."""
    import open_clip

    models = open_clip.list_pretrained_models_by_tag("openai")
    return {open_clip.get_pretrained_url(model, "openai").split("/")[-2] for model in models}


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())


def _is_file(text: str) -> bool:
    path = Path(text)
    if path.suffix in (".pt", ".pth", ".bin", ".safetensors") and not path.is_file():
        raise ValueError(f"{path}: no such file")
    return path.is_file()


def _freeze(module: nn.Module) -> None:
    module.eval().requires_grad_(False)


def _way_out(model: str, tag: str | None) -> str:
    """Where weights can be fetched by hand, and how to name them."""
    import open_clip

    about = open_clip.get_pretrained_cfg(model, tag) if tag else {}
    if not about:
        return ""
    activation = "quickgelu" if about.get("quick_gelu") else "gelu"
    return (
        f"Without a network, fetch open_clip_model.safetensors of https://huggingface.co/"
        f"{about.get('hf_hub', '').strip('/')} elsewhere and name it: --set teacher.pretrained=PATH "
        f"--set teacher.activation={activation}"
    )


def _first(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
