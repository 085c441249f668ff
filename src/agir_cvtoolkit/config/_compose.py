"""Composition: packaged files below, the user's ``conf/`` above them, the command line in Hydra's grammar on top.

A user's file need not repeat the packaged one: a file that holds three keys changes three keys. Hydra's own
``compose`` would take ten times as long for the same tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from yaml import YAMLError

from agir_cvtoolkit.errors import ConfigError, did_you_mean

from ._base import Group
from ._redact import redacted
from ._settings import COMMAND_LINE, PACKAGED, RETIRED, Settings

USER_DIR = Path("conf")
_PRIMARY = "config"
_GROUPS = tuple(name for name in Settings.model_fields if name not in {"origins", "project"})
_REPLACED_WHOLE = ("cvat_upload.label_map",)

Tree = dict[str, Any]


@dataclass(frozen=True)
class _Layers:
    tree: Tree  # each group's file, with the primary file on top
    user_files: Mapping[str, tuple[Path, Tree]]  # by group, "" for the primary file


def load_settings(overrides: Sequence[str] = (), config: str | None = None) -> Settings:
    """Compose the configuration and validate it.

    Args:
        overrides: ``group.key=value`` in Hydra's grammar; a later one wins.
        config: a folder or file that takes the place of ``conf/``, or the name of a primary file in
            ``conf/``.

    Raises:
        ConfigError: an unknown key (with the near one), a wrong type or impossible value (with file and key),
            a file that is no YAML.
    """
    directory, primary_name = _user_conf(config)
    parsed = _parsed(overrides)
    chosen = {o.key_or_group: str(o.value()) for o in parsed if _is_group_choice(o)}
    _check_folders(directory)
    layers = _layers(directory, primary_name, chosen)
    tree = _composed(layers.tree, parsed)
    origins = _origins(tree, layers.user_files, parsed)
    try:
        return Settings.model_validate(tree | {"origins": origins})
    except ValidationError as error:
        raise _explained(error, origins) from None


def settings_keys() -> list[str]:
    """Return all dotted keys of the settings."""
    return sorted(key for key, _ in _leaves(Settings().dump()))


# --- the user's files -----------------------------------------------------------------------------


def _user_conf(config: str | None) -> tuple[Path | None, str]:
    if config is None or config == _PRIMARY:
        return (USER_DIR if USER_DIR.is_dir() else None), _PRIMARY
    path = Path(config)
    if path.is_dir():
        return path, _PRIMARY
    if path.suffix in {".yaml", ".yml"} and path.is_file():
        return path.parent, path.stem
    if (USER_DIR / f"{config}.yaml").is_file():
        return USER_DIR, config
    raise ConfigError(
        f"--config {config} is neither a folder, a YAML file nor the name of a file in {USER_DIR}/",
        "Write a conf/ to edit with: agir-cvtoolkit config init",
    )


def _check_folders(directory: Path | None) -> None:
    """Refuse folders that were meant to be groups: files in them would be read by nobody."""
    for folder in sorted(directory.iterdir()) if directory is not None else ():
        name = folder.name
        if name in _GROUPS or not folder.is_dir() or not any(folder.glob("*.yaml")):
            continue
        if name in RETIRED:
            raise ConfigError(
                f"{name} ({folder}/) is not a setting of this version", f"Instead: {RETIRED[name]}."
            )
        near = did_you_mean(name, _GROUPS)
        if near:
            raise ConfigError(f"{folder}/ is no group of settings", near)


def _layers(directory: Path | None, primary_name: str, chosen: Mapping[str, str]) -> _Layers:
    user_files: dict[str, tuple[Path, Tree]] = {}
    primary: Tree = {"project": _packaged_tree(_PRIMARY).get("project", {})}
    if directory is not None and (directory / f"{primary_name}.yaml").is_file():
        path = directory / f"{primary_name}.yaml"
        content = _read(path)
        for entry in content.pop("defaults", []) or []:
            if isinstance(entry, dict):
                chosen = {str(k): str(v) for k, v in entry.items() if v is not None} | dict(chosen)
        content.pop("hydra", None)
        user_files[""] = (path, content)
        primary = _merged(primary, content)
    tree: Tree = {}
    for group in _GROUPS:
        name = chosen.get(group, "default")
        packaged = _packaged_tree(group, name) or _packaged_tree(group, "default")
        content = {}
        if directory is not None and (directory / group / f"{name}.yaml").is_file():
            path = directory / group / f"{name}.yaml"
            content = _read(path)
            content.pop("defaults", None)
            user_files[group] = (path, content)
        elif name != "default" and not _packaged_tree(group, name):
            where = f"{directory or USER_DIR}/{group}/{name}.yaml"
            raise ConfigError(f"configuration {group}={name} does not exist", f"Write {where}.")
        tree[group] = _merged(packaged, content, prefix=group)
    return _Layers(_merged(tree, primary), user_files)


@cache
def _packaged_tree(group: str, name: str | None = None) -> Tree:
    """Read a packaged file once; nobody changes what is returned."""
    resource = files("agir_cvtoolkit").joinpath(
        "conf", *([group, f"{name}.yaml"] if name else [f"{group}.yaml"])
    )
    if not resource.is_file():
        return {}
    return _as_tree(OmegaConf.create(resource.read_text(encoding="utf-8")), str(resource))


def _read(path: Path) -> Tree:
    try:
        return _as_tree(OmegaConf.load(path), str(path))
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", "Correct the file.") from error


def _as_tree(loaded: object, name: str) -> Tree:
    if not isinstance(loaded, DictConfig):
        raise ConfigError(f"{name} must hold keys and values", "Correct the file.")
    container = OmegaConf.to_container(loaded, resolve=False)
    return {str(key): value for key, value in container.items()} if isinstance(container, dict) else {}


def _merged(below: Tree, above: Tree, prefix: str = "") -> Tree:
    result = dict(below)
    for key, value in above.items():
        dotted = f"{prefix}.{key}" if prefix else key
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and dotted not in _REPLACED_WHOLE:
            result[key] = _merged(old, value, dotted)
        else:
            result[key] = value
    return result


# --- the command line -----------------------------------------------------------------------------


def _parsed(overrides: Sequence[str]) -> list[Override]:
    parsed = []
    for text in overrides:
        try:
            override = _parse(text)
        except HydraException as error:
            reason = str(error).strip().splitlines()[0]
            raise ConfigError(
                f"override '{redacted(text)}' cannot be understood: {redacted(reason)}",
                "Write it as group.key=value; put text with spaces or braces in quotes.",
            ) from error
        if override.is_sweep_override():
            raise ConfigError(f"override '{text}' gives several values", "Put a list in brackets: key=[a,b].")
        _check_key(str(override.key_or_group))
        parsed.append(override)
    return parsed


def _parse(text: str) -> Override:
    parser = OverridesParser.create()
    try:
        return parser.parse_override(text)
    except HydraException:
        # Plain text that the grammar has no words for (umlauts, parentheses) is taken as if it were quoted.
        key, equals, value = text.partition("=")
        if not key or not value.strip() or set(value) & set("'\"[]{}\\,"):
            raise
        return parser.parse_override(f"{key}{equals}'{value.strip()}'")


def _is_group_choice(override: Override) -> bool:
    return override.key_or_group in _GROUPS and isinstance(override.value(), str)


def _check_key(key: str) -> None:
    for retired, text in RETIRED.items():
        if key == retired or key.startswith(retired + "."):
            raise ConfigError(f"{retired} is not a setting of this version", f"Instead: {text}.")
    model: type[Group] | None = Settings
    path: list[str] = []
    for part in key.split("."):
        if model is None:
            return
        fields: dict[str, FieldInfo] = {k: v for k, v in model.model_fields.items() if k != "origins"}
        if part not in fields:
            raise _unknown(".".join([*path, part]), part, fields)
        path.append(part)
        annotation = fields[part].annotation
        model = annotation if isinstance(annotation, type) and issubclass(annotation, Group) else None
        if model is None and not _holds_keys(annotation) and len(path) < len(key.split(".")):
            raise ConfigError(f"{'.'.join(path)} is a single value and has no key below it")


def _holds_keys(annotation: object) -> bool:
    origin = get_origin(annotation)
    if origin is Union or str(origin) == "<class 'types.UnionType'>":
        return any(_holds_keys(part) for part in get_args(annotation))
    return origin is dict


def _unknown(dotted: str, part: str, fields: Mapping[str, object], where: str = "") -> ConfigError:
    if dotted in RETIRED:
        return ConfigError(
            f"{dotted}{where} is not a setting of this version", f"Instead: {RETIRED[dotted]}."
        )
    prefix = dotted[: -len(part)]
    near = did_you_mean(part, fields).replace("'", f"'{prefix}", 1)
    elsewhere = [key for key in settings_keys() if key.rpartition(".")[2] == part]
    if not near and elsewhere:
        near = f"Did you mean '{elsewhere[0]}'?"
    listing = f"Known here: {', '.join(sorted(fields))}."
    return ConfigError(f"unknown setting '{dotted}'{where}", f"{near} {listing}".strip())


def _composed(tree: Tree, parsed: Sequence[Override]) -> Tree:
    try:
        composed = OmegaConf.create(tree)
        for override in parsed:
            if not _is_group_choice(override):
                _apply(override, composed)
        _replace_whole(composed, parsed)
        container = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"the configuration cannot be composed: {redacted(reason)}") from error
    return {str(key): value for key, value in container.items()} if isinstance(container, dict) else {}


def _apply(override: Override, composed: DictConfig) -> None:
    """Do what Hydra does with an override; a key without a sign may be new, as one with two plus signs."""
    key, value = str(override.key_or_group), override.value()
    given = f"override '{redacted(str(override.input_line))}'"
    if override.package is not None:
        raise ConfigError(f"{given} names a package", f"Write it as {key}=value.")
    there = OmegaConf.select(composed, key, throw_on_missing=False)
    if override.is_delete():
        if there is None or value not in (None, there):
            raise ConfigError(f"{given} removes what is not there", "See: agir-cvtoolkit config show")
        parent, _, last = key.rpartition(".")
        del (OmegaConf.select(composed, parent) if parent else composed)[last]
    elif override.is_add() and there is not None and not isinstance(value, dict | list):
        raise ConfigError(f"{given} adds what is there already", "Leave out the plus sign.")
    else:
        OmegaConf.update(composed, key, value)


def _replace_whole(composed: DictConfig, parsed: Sequence[Override]) -> None:
    for key in _REPLACED_WHOLE:
        if not any(o.key_or_group == key and isinstance(o.value(), dict) for o in parsed):
            continue
        for override in parsed:
            name = str(override.key_or_group)
            if (name == key or name.startswith(key + ".")) and not override.is_delete():
                OmegaConf.update(composed, name, override.value(), merge=False)


# --- origins and explanations ---------------------------------------------------------------------


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, dotted + ".")
        else:
            yield dotted, value


def _origins(
    tree: Tree, user_files: Mapping[str, tuple[Path, Tree]], parsed: Sequence[Override]
) -> dict[str, str]:
    origins = {key: PACKAGED for key, _ in _leaves(tree)}
    for group, (path, content) in user_files.items():
        for key, _ in _leaves(content, f"{group}." if group else ""):
            origins[key] = str(path)
    for override in parsed:
        key = str(override.key_or_group)
        if _is_group_choice(override):
            continue
        origins[key] = COMMAND_LINE
        for leaf in [k for k in origins if k.startswith(key + ".")]:
            origins[leaf] = COMMAND_LINE
    return origins


def _explained(error: ValidationError, origins: Mapping[str, str]) -> ConfigError:
    first = error.errors(include_url=False)[0]
    location = [str(part) for part in first["loc"]]
    dotted = ".".join(location)
    where = f" ({_origin_of(dotted, location, origins)})"
    if first["type"] == "extra_forbidden":
        return _unknown(dotted, location[-1], _fields_at(location[:-1]), where)
    see = "See: agir-cvtoolkit config show --origin"
    if first["type"] == "value_error":  # of several keys together
        return ConfigError(f"{dotted}{where}: {first['ctx']['error']}", see)
    value = redacted(repr(first.get("input")))
    if first["type"] in {"tuple_type", "list_type"} and isinstance(first.get("input"), str | int | float):
        return ConfigError(
            f"{dotted}={value}{where} is no list", f"Write a list: [{redacted(str(first['input']))}]"
        )
    return ConfigError(f"{dotted}={value}{where}: {first['msg'].lower()}", see)


def _origin_of(dotted: str, location: Sequence[str], origins: Mapping[str, str]) -> str:
    for key in (dotted, *_parents(location)):
        if key in origins:
            return origins[key]
    below = [origin for key, origin in origins.items() if key.startswith(f"{dotted}.")]
    changed = dict.fromkeys(origin for origin in below if origin != PACKAGED)
    return ", ".join(changed) or PACKAGED


def _parents(location: Sequence[str]) -> Iterator[str]:
    for end in range(len(location) - 1, 0, -1):
        yield ".".join(location[:end])


def _fields_at(location: Sequence[str]) -> Mapping[str, object]:
    model: type[Group] = Settings
    for part in location:
        field = model.model_fields.get(part)
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, Group)):
            return {}
        model = annotation
    return {key: value for key, value in model.model_fields.items() if key != "origins"}
