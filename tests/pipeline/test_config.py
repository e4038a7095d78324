"""Configuration: every shipped file is valid, unknown keys name the closest, overrides apply."""

from pathlib import Path

import pytest

from pipeline.config import load_section, shipped_configs
from stages.precompute.recordings.extract_scene import ExtractConfig
from stages.settings import ConfigError, validated
from stages.training.pretraining.config import PretrainConfig
from stages.training.tasks.names import TaskName
from stages.training.tasks.table import description_of

SCHEMAS = {"extract": ExtractConfig}


@pytest.mark.parametrize("name", shipped_configs())
@pytest.mark.parametrize("section", SCHEMAS)
def test_every_shipped_file_fits_every_schema(name: str, section: str) -> None:
    load_section(name, section, SCHEMAS[section])


def test_papers_values() -> None:
    config = load_section("paper", "extract", ExtractConfig)
    assert (config.stride_frames, config.points_per_frame) == (25, 16_384)
    assert (config.min_valid_pixels, config.max_depth_m) == (4_096, 20.0)
    assert config == ExtractConfig()  # the schema's defaults are the paper's


def test_overrides_and_base(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("extract: {stride_frames: 7, seed: 3}\n")
    child = tmp_path / "child.yaml"
    child.write_text("base: base.yaml\nextract: {seed: 4}\n")
    changes = ["extract.max_depth_m=3.5", "extract.splits=[test]"]
    config = load_section(str(child), "extract", ExtractConfig, changes)
    assert (config.stride_frames, config.seed, config.max_depth_m) == (7, 4, 3.5)
    assert config.splits == ("test",)


def test_a_base_may_be_a_shipped_one(tmp_path: Path) -> None:
    child = tmp_path / "mine.yaml"
    child.write_text("base: paper.yaml\nextract: {seed: 4}\n")
    assert load_section(str(child), "extract", ExtractConfig) == ExtractConfig(seed=4)


def test_configurations_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        ExtractConfig().seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extract: {stride_frame: 5}", "unknown key extract.stride_frame; did you mean extract.stride_frames"),
        ("extrakt: {}", "unknown section 'extrakt'; did you mean extract"),
        ("extract: {stride_frames: 0}", "extract.stride_frames = 0: Input should be greater"),
        ("extract: {stride_frames: 2.5}", "extract.stride_frames = 2.5: Input should be a valid int"),
        ("extract: {max_depth_m: 40}", "less than or equal to 32.7"),
        ("extract: {splits: [trian]}", "extract.splits.0 = 'trian'"),
        ("extract: {seed: true}", "extract.seed = true: expected no true or false here"),
        ("extract: {seed: 1, seed: 2}", "'seed' stands there twice"),
        ("extract: {points_per_frame: 100000000}", "less than or equal to 1000000"),
        ("extract: {splits: []}", "at least 1 item"),
        ("extract: [", "not YAML"),
        ("- 1", "expected sections"),
        ("extract: {seed: null}", "extract.seed = null: Input should be a valid int"),
        ("extract: {stride_frames: {x: 1}}", "extract.stride_frames: Input should be a valid int"),
        ("base: nowhere.yaml", "nowhere.yaml does not exist"),
        ("base: 5", "5 does not exist"),
        ("base: bad.yaml", "round in a circle"),
    ],
)  # fmt: skip
def test_a_bad_file_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_section(str(path), "extract", ExtractConfig)
    assert message in str(caught.value)
    assert "bad.yaml" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "extract.sed=1",
            "--set extract.sed=1: unknown key extract.sed; did you mean extract.seed",
        ),
        ("extrac.seed=1", "--set extrac.seed=1: unknown section 'extrac'; did you mean extract"),
        ("seed=1", "expected section.key=value"),
        ("extract.seed", "expected section.key=value"),
        ("extract.seed=[", "not a YAML value"),
        ("extract.seed.x=1", "extract.seed"),
    ],
)
def test_a_bad_override_is_one_clear_error(change: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_section("paper", "extract", ExtractConfig, [change])
    assert message in str(caught.value)


def test_an_unknown_configuration_lists_those_there() -> None:
    with pytest.raises(
        ConfigError, match=r"nowhere: no such configuration.*demo, .*paper, .*variants/"
    ):
        load_section("nowhere", "extract", ExtractConfig)


def test_every_shipped_configuration_is_valid() -> None:
    """Each section of each file, the variants too, against its schema."""
    from pydantic import BaseModel

    from pipeline.config import shipped_configs
    from stages.precompute.downstream.prepare_objects import ObjectsConfig
    from stages.precompute.recordings.extract_scene import ExtractConfig
    from stages.precompute.teacher.caption_config import TeacherTrainConfig
    from stages.precompute.teacher.teachers import TeacherConfig
    from stages.training.pretraining.config import PretrainConfig
    from stages.training.tasks.classification.config import ClassificationConfig
    from stages.training.tasks.detection.config import DetectionConfig
    from stages.training.tasks.parts.config import PartsConfig
    from stages.training.tasks.segmentation.config import SegmentationConfig

    schemas: dict[str, type[BaseModel]] = {
        "extract": ExtractConfig, "teacher": TeacherConfig, "teacher_train": TeacherTrainConfig,
        "pretrain": PretrainConfig, "prepare": ObjectsConfig, "classification": ClassificationConfig,
        "parts": PartsConfig, "detection": DetectionConfig,
        "segmentation": SegmentationConfig,
    }  # fmt: skip
    for name in shipped_configs():
        for section, schema in schemas.items():
            load_section(name, section, schema)
    assert load_section("variants/detection_3detr", "detection", DetectionConfig).kind == "3detr"


def test_a_section_that_contradicts_itself_is_told_without_all_of_it() -> None:
    change = "pretrain.encoder.num_heads=5"
    with pytest.raises(ConfigError) as caught:
        load_section("paper", "pretrain", PretrainConfig, [change])
    assert str(caught.value) == (
        f"--set {change}: pretrain.encoder: width 384 is no multiple of 5 heads"
    )


def test_a_stored_configuration_of_another_version_is_one_clear_error() -> None:
    with pytest.raises(ConfigError) as caught:
        validated(ExtractConfig, {"seed": True, "gone": 1})
    assert str(caught.value) == (
        "an artifact's configuration is of another version: "
        "seed: expected no true or false here, found true; gone: Extra inputs are not permitted"
    )


def test_what_a_part_does_not_name_stays_the_tasks_own(tmp_path: Path) -> None:
    """Of a part with its own defaults, as detection's training has, one value can be changed."""
    config = description_of(TaskName.DETECTION).config
    (tmp_path / "own.yaml").write_text("detection: {training: {epochs: 3}, encoder: {depth: 2}}")
    found = load_section(str(tmp_path / "own.yaml"), "detection", config)
    assert (found.training.epochs, found.encoder.depth) == (3, 2)
    plain = config()
    assert found.training.model_copy(update={"epochs": plain.training.epochs}) == plain.training
    assert found.encoder.num_patches == plain.encoder.num_patches == 2048
