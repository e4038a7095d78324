"""Towers: the right activation or none, known files only, and patch tokens."""

import hashlib
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from stages.precompute.teacher import towers
from stages.precompute.teacher.teachers import TeacherConfig, load_teacher
from stages.precompute.teacher.towers import open_clip_model, open_clip_tower, timm_tower

OPENAI_VIT_B_32 = "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small CLIP (ViT, 9 patches) as a folder that open_clip knows how to read."""
    about = {
        "model_cfg": {
            "embed_dim": 24,
            "quick_gelu": True,
            "vision_cfg": {"image_size": 48, "layers": 2, "width": 64, "patch_size": 16},
            "text_cfg": {
                "context_length": 8, "vocab_size": 64, "width": 64, "heads": 1, "layers": 1,
            },
        },
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3},
    }  # fmt: skip
    (tmp_path / "open_clip_config.json").write_text(json.dumps(about))
    return tmp_path


def test_embeddings_are_not_normalised_and_patches_come_along(folder: Path) -> None:
    tower = open_clip_tower(str(folder), None, seed=3)
    whole = open_clip_model(str(folder), None, seed=3)
    pixels = torch.randn(2, 3, 48, 48)
    embedding, patches = tower.encode(pixels)
    assert patches is not None
    assert (embedding.shape, patches.shape) == ((2, 24), (2, 9, 64))
    with torch.inference_mode():
        np.testing.assert_allclose(embedding, whole.encode_image(pixels), atol=1e-5)
        unit = whole.encode_image(pixels, normalize=True)
    assert not np.allclose(embedding, unit, atol=1e-2)
    assert (tower.preprocessing.size, tower.preprocessing.crop) == (48, "center")
    assert not any(p.requires_grad for p in tower.module.parameters())


def test_random_weights_follow_the_seed(folder: Path) -> None:
    same = [open_clip_tower(str(folder), None, seed=seed) for seed in (1, 1, 2)]
    first, second, third = (tower.encode(torch.ones(1, 3, 48, 48))[0] for tower in same)
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


@pytest.mark.parametrize("model", ["test_vit", "test_resnet"])
def test_timm_towers(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    """Global features and patches, of a transformer without its prefix tokens, or of a map."""
    import timm

    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **_: create(name, num_classes=0))
    monkeypatch.setattr(towers, "go_offline_if_unreachable", lambda: None)
    tower = timm_tower(model)
    size = tower.preprocessing.size
    embedding, patches = tower.encode(torch.randn(2, 3, size, size))
    assert patches is not None
    assert embedding.shape[0] == patches.shape[0] == 2
    assert embedding.shape[1] == patches.shape[2]
    side = round(patches.shape[1] ** 0.5)
    assert side * side == patches.shape[1]


def test_a_file_must_state_its_activation_and_fit(tmp_path: Path) -> None:
    model, other = "ViT-S-32-alt", "ViT-M-32-alt"
    path = tmp_path / "weights.safetensors"
    whole = open_clip_model(model, None, seed=5)
    save_file({k: v.contiguous() for k, v in whole.state_dict().items()}, path)
    with pytest.raises(ValueError, match=r"weights.safetensors: which activation .* --set"):
        open_clip_tower(model, str(path))
    pixels = torch.randn(1, 3, *[open_clip_tower(model, None).preprocessing.size] * 2)
    with torch.inference_mode():
        plain = open_clip_tower(model, str(path), activation="gelu").encode(pixels)[0]
        quick = open_clip_tower(model, str(path), activation="quickgelu").encode(pixels)[0]
        np.testing.assert_allclose(plain, whole.visual(pixels), atol=1e-5)
    assert not torch.allclose(plain, quick, atol=1e-3)
    with pytest.raises(ValueError, match=r"not the weights of ViT-M-32-alt: visual"):
        open_clip_tower(other, str(path), activation="gelu")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="not a safetensors file, or cut off"):
        open_clip_tower(model, str(path), activation="gelu")
    with pytest.raises(ValueError, match=r"nowhere.pt: no such file"):
        open_clip_tower(model, "nowhere.pt")


def test_only_openais_own_torchscript_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert OPENAI_VIT_B_32 in towers._published_by_openai()
    path = tmp_path / "ViT-B-32.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ValueError, match=f"TorchScript .*{digest}.*safetensors copy"):
        open_clip_tower("ViT-S-32-alt", str(path))
    monkeypatch.setattr(towers, "_published_by_openai", lambda: {digest})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state, activation = towers._read_weights(path)
    assert (sorted(state), activation) == (["bias", "weight"], "quickgelu")


def test_a_quickgelu_mismatch_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import open_clip

    def create(*_: object, **__: object) -> None:
        warnings.warn("QuickGELU mismatch between final model config and tag", stacklevel=1)

    monkeypatch.setattr(open_clip, "create_model", create)
    monkeypatch.setattr(towers, "go_offline_if_unreachable", lambda: None)
    with pytest.raises(ValueError, match=r"QuickGELU mismatch.*ViT-B-32-quickgelu"):
        open_clip_tower("ViT-B-32", "openai")


def test_without_a_network_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import open_clip

    def create(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(open_clip, "create_model", create)
    monkeypatch.setattr(towers, "go_offline_if_unreachable", lambda: None)
    with pytest.raises(
        ValueError,
        match=r"no route to host .*timm/vit_base_patch32_clip_224.openai .*teacher.pretrained=PATH "
        r".*teacher.activation=quickgelu",
    ):
        open_clip_tower("ViT-B-32-quickgelu", "openai")
    with pytest.raises(ValueError, match="neither a model of open_clip"):
        open_clip_tower("ViT-B-33", None)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_timm_tower_from_a_local_file(tmp_path: Path, suffix: str) -> None:
    """No network: the classifier in the file is left out, and what is not all there is refused."""
    import timm

    torch.manual_seed(3)
    whole = timm.create_model("test_vit", num_classes=10).eval()
    path = tmp_path / f"weights{suffix}"
    state = {key: value.contiguous() for key, value in whole.state_dict().items()}
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    tower = timm_tower("test_vit", path)
    assert tower.pooling == "token"
    pixels = torch.randn(1, 3, *[tower.preprocessing.size] * 2)
    with torch.inference_mode():
        embedding, _ = tower.encode(pixels)
        expected = whole.forward_head(whole.forward_features(pixels), pre_logits=True)
    np.testing.assert_array_equal(embedding, expected)
    with pytest.raises(ValueError, match=r"weights.*: not the weights of timm's test_resnet"):
        timm_tower("test_resnet", path)
    with pytest.raises(ValueError, match=r"nothing_like_it: not a model of timm"):
        timm_tower("nothing_like_it", path)
    # Also what begins at the same number in every model: a file fills all of it or nothing.
    for name in ("blocks.0.mlp.fc1.weight", "blocks.0.norm1.weight", "norm.bias"):
        part = {key: value for key, value in state.items() if key != name}
        save_file(part, tmp_path / "part.safetensors")
        with pytest.raises(ValueError, match=f"not the weights of timm's test_vit: .*{name}"):
            timm_tower("test_vit", tmp_path / "part.safetensors")
    save_file({}, tmp_path / "part.safetensors")
    with pytest.raises(ValueError, match="it has no tensors"):
        timm_tower("test_vit", tmp_path / "part.safetensors")


def test_statistics_of_norms_come_from_the_file_too(tmp_path: Path) -> None:
    import timm

    whole = timm.create_model("test_resnet", num_classes=10)
    state = {
        key: (value + 1).contiguous() if value.is_floating_point() else value.contiguous()
        for key, value in whole.state_dict().items()
    }
    save_file(state, tmp_path / "weights.safetensors")
    tower = timm_tower("test_resnet", tmp_path / "weights.safetensors")
    assert tower.pooling == "avg"
    assert all(torch.equal(value, state[key]) for key, value in tower.module.state_dict().items())
    del state["bn1.running_mean"]
    save_file(state, tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match=r"not the weights of timm's test_resnet: .*running_mean"):
        timm_tower("test_resnet", tmp_path / "weights.safetensors")


def test_other_kinds_are_not_stored_as_clipcap() -> None:
    with pytest.raises(ValueError, match=r"would be stored as clipcap; .* teacher.name=timm"):
        TeacherConfig(kind="timm", model="test_vit")
    config = TeacherConfig(name="dino", kind="timm", model="test_vit", pretrained="nowhere.pth")
    with pytest.raises(ValueError, match=r"teacher.pretrained = nowhere.pth: no such file"):
        load_teacher(config, trained=Path("none"))
