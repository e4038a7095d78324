"""Labels of every vertex of scans by a finished segmentation run, as ScanNet's benchmark takes them."""

import zipfile
from pathlib import Path

import numpy as np
import torch

from cache.commit import commit, partial_path
from cache.runs import read_card, read_result
from cache.scans import read_scan, scenes_of
from cache.scene_group import Listing
from stages.machine.progress import Progress
from stages.training.finetuning.finetune import KIND
from stages.training.tasks.scans import scene_set
from stages.training.tasks.segmentation.config import SegmentationConfig
from stages.training.tasks.votes import vote_over_points
from stages.training.weights.build import load_model


def run(run: Path, store: Path, split: str, out: Path, *, device: torch.device) -> int:
    """Write `out/<scene>.txt` for each scan of a split, and `out.zip`; returns how many.

    A line is the nyu40 id of a vertex, in the mesh's order. Raises ValueError if the run is no
    finished segmentation, or if no scan of the split is prepared.
    """
    out = out.resolve()
    card = read_card(run)
    if card is None or card.kind != f"{KIND}: segmentation" or read_result(run) is None:
        raise ValueError(
            f"{run}: expected a finished run of finetune segmentation, such as .../seed0"
        )
    config = SegmentationConfig.model_validate(card.config)
    listing = Listing.read(store)
    names, classes = (
        list(scenes_of(listing, split, annotated=False)),
        scene_set(listing).segmentation,
    )
    if not names:
        raise ValueError(f"{store}: no scan of {split}; run prepare")
    model = load_model(run / "last").to(device)
    out.mkdir(parents=True, exist_ok=True)
    with Progress("predict", len(names), "scans") as progress:
        for number, name in enumerate(names):
            vertices = torch.from_numpy(read_scan(store, name).vertices).to(device)
            votes = vote_over_points(
                model, vertices, config.num_points, config.vote_rounds, len(classes), number
            )
            ids = np.array(classes.ids)[votes.argmax(dim=-1).cpu().numpy()]
            with partial_path(out / f"{name}.txt") as partial:
                np.savetxt(partial, ids, fmt="%d")
                commit(partial, out / f"{name}.txt")
            progress.update(number + 1)
    _zip(out, names)
    return len(names)


def _zip(out: Path, names: list[str]) -> None:
    """All files at the archive's top level, which is what the benchmark's server unpacks."""
    whole = out.with_name(f"{out.name}.zip")
    with partial_path(whole) as partial:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.write(out / f"{name}.txt", f"{name}.txt")
        commit(partial, whole)
