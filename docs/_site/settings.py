"""The table of all settings: key, type and default from the code, meaning from the comments of the packaged YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

import yaml
from pydantic import BaseModel

from agir_cvtoolkit.config import Settings

_LINE = re.compile(
    r"^(?P<indent> *)(?P<key>[\w.-]+):(?: (?P<value>(?:\"[^\"]*\"|[^#\"])*))?(?:#\s*(?P<said>.*))?$"
)
_WORDS = {
    int: "whole number",
    float: "number",
    bool: "true, false",
    str: "text",
    NoneType: "null",
    Path: "path",
}
_NO_BOUND = 1e9
"""Beyond it a bound is that of a database's numbers, which nobody meets."""
_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def settings(conf: Path) -> Iterator[str]:
    """Yield the page, line by line; `conf` is the folder of the packaged YAML."""
    yield "# Settings\n"
    yield "Set a key with `-o group.key=value`, or in `conf/<group>/default.yaml`; [how](../configuration.md).\n"
    for path in sorted(conf.glob("*/default.yaml")):
        group = path.parent.name
        text = path.read_text(encoding="utf-8")
        model = cast("type[BaseModel]", Settings.model_fields[group].annotation)
        said = meanings(text)
        yield f"## {group}\n"
        if opening := said.pop("", None):
            yield f"{_cell(opening)}\n"
        yield "| key | type | default | meaning |\n| --- | --- | --- | --- |"
        yield from _rows(model, yaml.safe_load(text) or {}, said, "")
        yield ""


def meanings(text: str) -> dict[str, str]:
    """Return what the comments of a YAML file say of each dotted key; of the file as a whole under the empty one.

    A comment belongs to the key on its line, and goes on in the next lines where these are indented; one at the
    beginning of a line belongs to the key below, the first ones to the file.
    """
    found: dict[str, str] = {}
    parents: list[tuple[int, str]] = []
    key, above = "", ""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            words = stripped.lstrip("# ")
            if key and not line.startswith("#"):
                found[key] = f"{found.get(key, '')} {words}".strip()
            else:
                above = f"{above} {words}".strip()
        elif match := _LINE.match(line):
            if not key:
                found[""], above = above, ""
            indent = len(match["indent"])
            parents = [(depth, name) for depth, name in parents if depth < indent] + [(indent, match["key"])]
            key = ".".join(name for _, name in parents)
            found[key] = ". ".join(part for part in (match["said"], above) if part)
            above = ""
    return {key: words for key, words in found.items() if words}


def _rows(
    model: type[BaseModel], values: Mapping[str, Any], said: Mapping[str, str], above: str
) -> Iterator[str]:
    for name, field in model.model_fields.items():
        key, kind = f"{above}{name}", field.annotation
        meaning = _cell(said.get(key, ""))
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if meaning:
                yield f"| **`{key}`** | | | {meaning} |"
            yield from _rows(kind, values.get(name) or {}, said, f"{key}.")
            continue
        value = values[name] if name in values else field.get_default(call_default_factory=True)
        yield f"| `{key}` | {_cell(_kind(kind, _bounds(field.metadata)))} | `{_shown(value)}` | {meaning} |"


def _kind(kind: Any, bounds: str = "") -> str:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _kind(parts[0], _bounds(parts[1:]))
    if origin is Literal:
        return ", ".join(str(part) for part in parts)
    if origin in {Union, UnionType}:
        return " or ".join(dict.fromkeys(_kind(part, bounds) for part in parts))
    if origin is tuple:
        return f"list of {_kind(parts[0])}"
    if origin is not None and issubclass(origin, Mapping):
        return "mapping"
    return _WORDS[kind] + (bounds if kind in {int, float} else "")


def _bounds(metadata: Any) -> str:
    known = [
        f"{sign} {getattr(part, name):g}"
        for part in metadata
        for name, sign in _BOUNDS.items()
        if abs(getattr(part, name, None) or 0) < _NO_BOUND and hasattr(part, name)
    ]
    return f" {', '.join(known)}" if known else ""


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        value = list(value)
    shown = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000)
    return shown.removesuffix("\n...\n").strip().replace("|", "\\|")


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("<", "&lt;")
