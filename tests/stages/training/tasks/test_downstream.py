"""A configuration whose patches do not fit its clouds is refused before anything is read."""

import pytest

from pipeline.config import load_section, shipped_configs
from stages.settings import ConfigError, Settings
from stages.training.pretraining.config import PretrainConfig
from stages.training.tasks.finetune_config import FinetuneConfig
from stages.training.tasks.names import TaskName
from stages.training.tasks.table import description_of

TASKS: dict[str, type[FinetuneConfig]] = {
    task.value: description_of(task).config for task in TaskName
}
SECTIONS: dict[str, type[Settings]] = {"pretrain": PretrainConfig, **TASKS}


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("key", ["patch_size", "num_patches"])
def test_more_than_there_are_points_is_refused(section: str, key: str) -> None:
    changes = [f"{section}.num_points=512", f"{section}.encoder.{key}=513"]
    message = (
        rf"{section}\.num_points = 512: fewer points than encoder\.{key} = 513 needs; raise this"
    )
    with pytest.raises(ConfigError, match=message):
        load_section("demo", section, SECTIONS[section], changes)
    changes[1] = f"{section}.encoder.{key}=512"
    load_section("demo", section, SECTIONS[section], changes)


@pytest.mark.parametrize(
    ("section", "change"),
    [("classification", "model=dgcnn"), ("segmentation", "model=pointnet2"), ("detection", "kind=3detr")],
)  # fmt: skip
def test_networks_without_patches_do_not_mind(section: str, change: str) -> None:
    changes = [
        f"{section}.num_points=64",
        f"{section}.encoder.patch_size=65",
        f"{section}.{change}",
    ]
    load_section("demo", section, TASKS[section], changes)


def test_the_segmenters_head_takes_three_patches() -> None:
    with pytest.raises(ConfigError, match=r"segmentation\.model = 'transformer': .* is 2; raise"):
        load_section(
            "demo", "segmentation", TASKS["segmentation"], ["segmentation.encoder.num_patches=2"]
        )


@pytest.mark.parametrize("name", shipped_configs())
@pytest.mark.parametrize("section", SECTIONS)
def test_every_shipped_configuration_fits(name: str, section: str) -> None:
    load_section(name, section, SECTIONS[section])
