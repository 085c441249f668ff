"""``config show`` and ``config init``: what is configured, where it comes from, and a ``conf/`` to edit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from agir_cvtoolkit.config import PACKAGED, describe_credentials, redacted
from agir_cvtoolkit.runs import write_text

from ._call import Call


@dataclass(frozen=True)
class SettingShown:
    """One setting: its dotted key, its value as text (secrets replaced) and where it comes from."""

    key: str
    value: str
    origin: str


@dataclass(frozen=True)
class ConfigShown:
    """All settings, and what is known of the credentials without their secrets."""

    settings: tuple[SettingShown, ...]
    credentials: tuple[SettingShown, ...]


@dataclass(frozen=True)
class ConfigWritten:
    """What ``config init`` wrote and what it left alone because it was there."""

    folder: Path
    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    dry_run: bool


def show_config(call: Call | None = None) -> ConfigShown:
    """Return every setting with its origin.

    Raises:
        ConfigError: the configuration is wrong.
    """
    call = call or Call()
    settings = call.settings()
    shown = tuple(
        SettingShown(key, redacted(_text(value)), settings.origins.get(key, PACKAGED))
        for key, value in _leaves(settings.dump())
    )
    credentials = tuple(SettingShown(*row) for row in describe_credentials(settings.io.keys_file))
    return ConfigShown(shown, credentials)


def init_config(folder: Path = Path("conf"), call: Call | None = None) -> ConfigWritten:
    """Copy the packaged YAML files to a folder to edit; files that are there stay as they are."""
    call = call or Call()
    written, kept = [], []
    for relative, source in _packaged():
        target = folder / relative
        if target.exists():
            kept.append(target)
            continue
        written.append(target)
        if not call.dry_run:
            write_text(target, _editable(source.read_text(encoding="utf-8")))
    return ConfigWritten(folder, tuple(written), tuple(kept), call.dry_run)


def _editable(content: str) -> str:
    """Comment out what means something else when it is written down: an organization of null is the personal one."""
    return re.sub(r"^(organization_slug: null)", r"# \1", content, flags=re.M)


def _packaged() -> Iterator[tuple[str, Traversable]]:
    root = files("agir_cvtoolkit").joinpath("conf")
    for entry in sorted(root.iterdir(), key=lambda e: e.name):
        if entry.is_dir() and entry.name != "joints":
            for file in sorted(entry.iterdir(), key=lambda e: e.name):
                if file.name.endswith(".yaml"):
                    yield f"{entry.name}/{file.name}", file
        elif entry.name.endswith(".yaml"):
            yield entry.name, entry


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
