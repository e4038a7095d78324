"""mIoU beside ScanNet's own evaluation and the DGCNN repository's."""

import numpy as np
import pytest
import torch

from cache.scannet_classes import SCANNET
from stages.training.tasks.segmentation.scores import (
    by_class,
    classes_of,
    confusion,
    iou_of,
    scores_of,
)
from tests.conftest import REPOSITORY, SHARED, golden_files

CLASSES = SCANNET.segmentation
SETS = ("all_classes", "missing_classes", "odd_ids")
MIOU = np.load(golden_files("dgcnn_seg/semseg_miou.npz")[0])


def predicted_classes(ids: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(classes_of(ids, CLASSES.ids).astype(np.int64))


@pytest.mark.parametrize("name", SETS)
def test_counts_and_iou_are_scannets(name: str) -> None:
    golden = np.load(REPOSITORY / "tests" / "golden" / "semseg_eval" / f"{name}.npz")
    counts = torch.zeros(20, 21, dtype=torch.long)
    for scene in golden["scene_names"]:
        true = predicted_classes(golden[f"gt/{scene}"])
        counts += confusion(true, predicted_classes(golden[f"pred/{scene}"]), 20)
    ids = golden["valid_class_ids"]
    expected = golden["confusion"].astype(np.int64)[ids]
    np.testing.assert_array_equal(counts[:, :20], expected[:, ids])
    np.testing.assert_array_equal(counts.sum(dim=1), expected.sum(axis=1))
    np.testing.assert_allclose(iou_of(counts), golden["iou"], rtol=0, atol=1e-12)
    assert scores_of(counts)["miou"] == pytest.approx(golden["miou_over_present"], abs=1e-12)


@pytest.mark.parametrize("name", SETS)
def test_the_text_files_of_the_full_set_say_the_same(name: str) -> None:
    folder = SHARED / "golden" / "semseg_eval" / name
    if not folder.is_dir():
        pytest.skip("the full golden set is not on this machine")
    golden = np.load(REPOSITORY / "tests" / "golden" / "semseg_eval" / f"{name}.npz")
    for file in (folder / "gt").iterdir():
        np.testing.assert_array_equal(np.loadtxt(file, dtype=np.int64), golden[f"gt/{file.stem}"])


@pytest.mark.parametrize("name", ["all_classes", "absent_classes"])
def test_counts_are_those_of_the_dgcnn_repository(name: str) -> None:
    true = MIOU[f"{name}/gt20_ignore255"].astype(np.int64)
    counts = confusion(
        torch.from_numpy(true), torch.from_numpy(MIOU[f"{name}/pred20"].astype(np.int64)), 20
    )
    labelled = counts[:, :20]
    np.testing.assert_array_equal(labelled.diagonal(), MIOU[f"{name}/intersection"])
    np.testing.assert_array_equal(labelled.sum(dim=1), MIOU[f"{name}/target"])
    assert by_class(counts, CLASSES.names).keys() <= set(CLASSES.names)


def test_ids_and_classes_are_each_others_inverse() -> None:
    np.testing.assert_array_equal(classes_of(np.array(CLASSES.ids), CLASSES.ids), np.arange(20))
    odd = np.array([0, 13, 40, 255, -100, 1_000_000_000])
    assert (classes_of(odd, CLASSES.ids) == -1).all()


def test_nothing_labelled_is_no_score() -> None:
    counts = confusion(torch.full((5,), -1), torch.zeros(5, dtype=torch.long), 20)
    assert scores_of(counts) == {"miou": 0.0, "accuracy": 0.0}
