"""From YAML values and `--set a.b=1` to a checked schema; an unknown key names the closest one.

A file may say `base: other.yaml` (beside it) and change only some values; `A+B` names two, of which the
second's own values go over the first's. Each stage reads its own section, so a command can run where
another stage's packages are not installed.
"""

import difflib
import json
from collections.abc import Hashable, Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from stages.settings import ConfigError, S, _message
from stages.training.pretraining.objectives.settings import DEFAULT_KIND
from stages.training.tasks.names import TaskName

SECTIONS = (
    "sample",
    "extract",
    "teacher",
    "teacher_train",
    "pretrain",
    "prepare",
    "study",
    *(task.value for task in TaskName),
)


HEADERS = ("base", "variant")  # what a file says of itself
VARIANTS = "variants"  # the folder of those that change one thing each
UNIONS = ("objective",)  # parts of several kinds: who names another kind names all of it


class _UniqueKeys(yaml.SafeLoader):
    """YAML's safe loader, which would let the last of two equal keys win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"line {node.start_mark.line + 1}: {key!r} stands there twice")
        return super().construct_mapping(node, deep)


def load_section(config: str, section: str, schema: type[S], overrides: Sequence[str] = ()) -> S:
    """Read one stage's section of a configuration into its schema.

    `config` is a YAML file, or the name of one that is shipped (`paper`, `demo`), or several with `+`
    between; `overrides` are `section.key=value` with YAML values. Raises ConfigError.
    """
    assert section in SECTIONS
    values = _read_all(config)
    for text in overrides:
        _assign(values, text)
    try:
        return schema.model_validate(values.get(section) or {})
    except ValidationError as error:
        lines = _explain(error, section, schema, overrides, config)
        raise ConfigError("; ".join(lines)) from None


def check_file(config: str) -> None:
    """See that a configuration is there, is YAML, and has known sections. Raises ConfigError."""
    _read_all(config)


def check_override(text: str) -> None:
    """See that `section.key=value` is such, of a known section. Raises ConfigError."""
    _assign({}, text)


def shipped_configs() -> list[str]:
    """Names of the configurations that come with the package."""
    root = Path(str(resources.files("configs")))
    return sorted(str(file.relative_to(root).with_suffix("")) for file in root.rglob("*.yaml"))


def header_of(config: str) -> dict[str, Any]:
    """What a file says of itself under `variant`, {} if nothing. Raises ConfigError."""
    header = _read(_find(config)).get("variant") or {}
    if not isinstance(header, dict):
        raise ConfigError(f"{config}: expected `variant:` to have keys, found {header!r}")
    return header


def _read_all(config: str) -> dict[str, Any]:
    if Path(config).is_file():  # whose name may have a plus in it
        return _read_with_base(Path(config), seen=())
    first, *over = config.split("+")
    values = _read_with_base(_find(first), seen=())
    for name in over:
        path = _find(name)
        values = _merge(values, _sections_of(_read(path), path))
    return values


def _find(config: str) -> Path:
    path = Path(config)
    if path.is_file():
        return path
    name = config.removeprefix("configs/").removesuffix(".yaml")
    for shipped in (f"{name}.yaml", f"{VARIANTS}/{name}.yaml"):
        found = Path(str(resources.files("configs"))) / shipped
        if found.is_file():
            return found
    raise ConfigError(
        f"{config}: no such configuration file; shipped ones are {', '.join(shipped_configs())}"
    )


def _read_with_base(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in seen:
        raise ConfigError(f"{path}: `base` goes round in a circle")
    found = _read(path)
    base, values = found.get("base"), _sections_of(found, path)
    if base is None:
        return values
    base_path = path.parent / str(base)
    if not base_path.is_file():
        try:
            base_path = _find(str(base))  # a shipped one
        except ConfigError:
            raise ConfigError(f"{path}: its base {base_path} does not exist") from None
    return _merge(_read_with_base(base_path, (*seen, path.resolve())), values)


def _sections_of(found: dict[str, Any], path: Path) -> dict[str, Any]:
    """The sections that a file itself has, without its base's. Raises ConfigError."""
    values = {key: value for key, value in found.items() if key not in HEADERS}
    _check_sections(values, str(path))
    return values


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.load(path.read_text(), _UniqueKeys) or {}
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected sections such as `extract:`, found {values!r}")
    return values


def _check_sections(names: Iterable[object], where: str) -> None:
    for name in names:
        if name not in SECTIONS:
            raise ConfigError(f"{where}: unknown section {name!r}{_closest(str(name), SECTIONS)}")


def _merge(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        joined = both and not (key in UNIONS and _another_kind(merged[key], value))
        merged[key] = _merge(merged[key], value) if joined else value
    return merged


def _another_kind(there: dict[str, Any], value: dict[str, Any]) -> bool:
    return "kind" in value and value["kind"] != there.get("kind", DEFAULT_KIND)


def _assign(values: dict[str, Any], text: str) -> None:
    """Apply one `section.key=value` in place."""
    path, equals, raw = text.partition("=")
    *parents, key = path.strip().split(".")
    if not equals or not parents:
        raise ConfigError(f"--set {text}: expected section.key=value, such as extract.seed=1")
    _check_sections(parents[:1], f"--set {text}")
    try:
        value = yaml.load(raw, _UniqueKeys)
    except yaml.YAMLError:
        raise ConfigError(f"--set {text}: {raw!r} is not a YAML value") from None
    target = values
    for parent in parents:
        if not isinstance(target.get(parent), dict):
            target[parent] = {}
        target = target[parent]
    if parents[-1] in UNIONS and _another_kind(target, {key: value}):
        target.clear()
    target[key] = value


def _explain(
    error: ValidationError,
    section: str,
    schema: type[BaseModel],
    overrides: Sequence[str],
    config: str,
) -> Iterable[str]:
    for item in error.errors():
        path, fields = _walked(schema, item["loc"][:-1])
        parents = ".".join([section, *path])
        where = ".".join([parents, *map(str, item["loc"][-1:])])
        if item["type"].startswith("union_tag"):
            where = f"{where}.kind"
        source = _source(where, overrides, config)
        if item["type"] == "extra_forbidden":
            known = [f"{parents}.{name}" for name in fields]
            yield f"{source}: unknown key {where}{_closest(where, known)}"
        else:
            yield f"{source}: {where}{_shown(item['input'])}: {_message(item)}"


def _source(where: str, overrides: Sequence[str], config: str) -> str:
    """Who gave a value, or a part of it: the last --set of it, else the file."""
    for text in reversed(overrides):
        key = text.partition("=")[0].strip()
        if f"{key}.".startswith(f"{where}.") or f"{where}.".startswith(f"{key}."):
            return f"--set {text}"
    return config


def _shown(value: object) -> str:
    """A value as YAML has it; nothing of a whole section, whose message says what is wrong in it."""
    if isinstance(value, dict):
        return ""
    plain = value is None or isinstance(value, bool)
    return f" = {json.dumps(value) if plain else repr(value)}"


def _walked(schema: type[BaseModel], location: Sequence[int | str]) -> tuple[list[str], list[str]]:
    """The keys on the way to a place in a schema, without the kinds of unions, and the keys there."""
    path: list[str] = []
    options: list[type[BaseModel]] = [schema]
    for step in map(str, location):
        if len(options) > 1:  # of a union the kind comes next, which nobody wrote as a key
            options = [o for o in options if o.model_fields["kind"].default == step]
            continue
        path.append(step)
        field = options[0].model_fields.get(step) if options else None
        options = _schemas_in(field.annotation) if field else []
    return path, list(options[0].model_fields) if options else []


def _schemas_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [found for option in get_args(annotation) for found in _schemas_in(option)]


def _closest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"
