"""The packaged files and the user's ``conf/``, merged: a file that holds three keys changes three keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from agir_cvtoolkit.errors import ConfigError, did_you_mean

from ._settings import RETIRED, Settings

USER_DIR = Path("conf")
GROUPS = tuple(name for name in Settings.model_fields if name not in {"origins", "project"})
REPLACED_WHOLE = ("cvat_upload.label_map",)
_PRIMARY = "config"

Tree = dict[str, Any]


@dataclass(frozen=True)
class Layers:
    """What lies in files."""

    tree: Tree  # each group's file, with the primary file on top
    user_files: Mapping[str, tuple[Path, Tree]]  # by group, "" for the primary file


def user_conf(config: str | None) -> tuple[Path | None, str]:
    """Return the folder of the user's files, where there is one, and the name of the primary file."""
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


def check_folders(directory: Path | None) -> None:
    """Refuse folders that were meant to be groups: files in them would be read by nobody."""
    for folder in sorted(directory.iterdir()) if directory is not None else ():
        name = folder.name
        if name in GROUPS or not folder.is_dir() or not any(folder.glob("*.yaml")):
            continue
        if name in RETIRED:
            raise ConfigError(
                f"{name} ({folder}/) is not a setting of this version", f"Instead: {RETIRED[name]}."
            )
        near = did_you_mean(name, GROUPS)
        if near:
            raise ConfigError(f"{folder}/ is no group of settings", near)


def layers_of(directory: Path | None, primary_name: str, chosen: Mapping[str, str]) -> Layers:
    """Read each group's files, the user's over the packaged ones."""
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
    for group in GROUPS:
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
    return Layers(_merged(tree, primary), user_files)


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
        if isinstance(old, dict) and isinstance(value, dict) and dotted not in REPLACED_WHOLE:
            result[key] = _merged(old, value, dotted)
        else:
            result[key] = value
    return result
