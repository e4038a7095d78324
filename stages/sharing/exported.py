"""A student to share: a folder of `model.safetensors`, `config.json` and a model card, `README.md`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from cache.card import CardError, JsonDict
from cache.checkpoint import WEIGHTS, Meta, has_checkpoint, read_arrays, read_meta
from cache.commit import commit, partial_path
from cache.runs import PRETRAINING, read_result

MODEL, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
KIND, SCHEMA_VERSION = "distill3d student", 1


@dataclass(frozen=True)
class Exported:
    """What `config.json` says: what rebuilds the network, of which run it is, what was measured."""

    model: JsonDict
    run: str
    measures: JsonDict


def is_exported(path: Path) -> bool:
    """Whether a folder holds an exported student."""
    return (path / CONFIG).is_file() and (path / MODEL).is_file()


def read_exported(path: Path) -> tuple[Exported, Mapping[str, NDArray[Any]]]:
    """Read an exported student. Raises CardError if it is none, or damaged."""
    try:
        raw = json.loads((path / CONFIG).read_bytes())
        if raw["kind"] != KIND or raw["schema_version"] != SCHEMA_VERSION:
            raise CardError(
                f"{path / CONFIG}: {raw['kind']!r} of schema {raw['schema_version']}, expected "
                f"{KIND!r} of schema {SCHEMA_VERSION}"
            )
        config = Exported(dict(raw["model"]), str(raw["run"]), dict(raw["measures"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, CardError):
            raise
        raise CardError(f"{path / CONFIG}: not the configuration of an exported student") from None
    try:
        return config, load_file(path / MODEL)
    except (SafetensorError, OSError) as error:
        raise CardError(f"{path / MODEL}: damaged: {error}") from None


def export_student(run: str | Path, out: str | Path, *, overwrite: bool = False) -> Path:
    """Write the student of a pre-training's folder, or of one of its checkpoints, to the folder `out`.

    `distill3d.load_student(out)` reads it back, here and elsewhere. Raises ValueError if there is no
    student, or if `out` exists and is not to be replaced.
    """
    source, out = Path(run), Path(out)
    folder = source / "last" if has_checkpoint(source / "last") else source
    if not has_checkpoint(folder):
        raise ValueError(f"{source}: expected the folder of a pre-training or of a checkpoint")
    meta = read_meta(folder)
    if meta.run.kind != PRETRAINING:
        raise ValueError(f"{source}: a {meta.model.get('kind')}, expected a pre-trained student")
    if out.exists() and not overwrite:
        raise ValueError(f"{out}: exists already; name another folder, or replace it (overwrite)")
    arrays = read_arrays(folder, WEIGHTS)
    config = {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "run": meta.run.fingerprint,
        "model": {"input": _input(meta), **meta.model},
        "measures": _measures(source, meta),
    }
    with partial_path(out) as partial:
        partial.mkdir()
        save_file({key: np.asarray(a, order="C") for key, a in arrays.items()}, partial / MODEL)
        (partial / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        (partial / CARD).write_text(_model_card(meta, config))
        commit(partial, out)
    return out


def _input(meta: Meta) -> JsonDict:
    from stages.training.weights.build import input_of

    return input_of(meta).model_dump(mode="json")


def _measures(source: Path, meta: Meta) -> JsonDict:
    result = read_result(source) or {}
    own = {k: v for k, v in meta.metrics.items() if k.startswith(("val_", "chance_"))}
    return {**own, **result.get("bars", {})}


def _model_card(meta: Meta, config: Mapping[str, Any]) -> str:
    shown = config["model"]["input"]
    encoder = config["model"]["shape"]["encoder"]
    measures = "\n".join(f"| {name} | {value:.4f} |" for name, value in config["measures"].items())
    return f"""---
library_name: distill3d
tags: [point-cloud, 3d, knowledge-distillation]
---
# {meta.run.config.get("name", "student")}: a distill3d student

A point transformer ({encoder["depth"]} blocks, {encoder["width"]} wide, {encoder["num_heads"]} heads) that
learned to predict a frozen 2D captioner's prefix from points alone, after *3D Point Cloud Pre-training with
Knowledge Distillation from 2D Images*.

```python
import distill3d

student = distill3d.load_student("THIS FOLDER")
features = student(distill3d.read_cloud("scan.ply"))
```

It takes {shown["num_points"]} points, normalised as `{shown["normalisation"]}`, in the frame
`{shown["frame"]}`; `load_student` does that itself.

- teacher: the store `{meta.run.config.get("teacher", "?")}`, run `{config["run"]}`, epoch {meta.position.get("epoch", "?")}
- licence: not stated; who publishes this states it. Weights learned from ScanNet are under ScanNet's terms of use.

| measure (held frames of its own data) | |
|---|---|
{measures}
"""
