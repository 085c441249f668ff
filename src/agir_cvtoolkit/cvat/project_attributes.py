"""Attributes of labels in project files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .labels import normal_name
from .project_spec import INPUT_TYPES, WantedAttribute
from .yaml_lines import Part

LONGEST_NAME = 64
"""Characters of a label's or attribute's name."""
_LONGEST_DEFAULT = 128
_LONGEST_VALUE = 200
_LONGEST_VALUES = 4096

_ATTRIBUTE = ("name", "type", "values", "default", "mutable", "was")
_RANGE = ("min", "max", "step")


def read_attributes(part: Part | None) -> tuple[WantedAttribute, ...]:
    """Read the attributes of a label; without any an empty tuple.

    Raises:
        ConfigError: names file, line and key.
    """
    found: list[WantedAttribute] = []
    for item in part.items() if part is not None else ():
        attribute = _attribute(item)
        if normal_name(attribute.name) in {normal_name(other.name) for other in found}:
            item.wrong(
                f"attribute '{attribute.name}' stands twice",
                "Names must differ in more than case, space and _.",
            )
        found.append(attribute)
    return tuple(found)


def attributes_from_requests(items: Sequence[Mapping[str, Any]]) -> tuple[WantedAttribute, ...]:
    """Return attributes that were made for the server's interface."""
    return tuple(
        WantedAttribute(
            str(item["name"]),
            str(item["input_type"]),
            tuple(str(value) for value in item["values"]),
            str(item["default_value"]),
            bool(item["mutable"]),
        )
        for item in items
    )


def _attribute(item: Part) -> WantedAttribute:
    keys = item.mapping(_ATTRIBUTE)
    if "name" not in keys:
        item.wrong("an attribute has no name", "Add name: to it.")
    name = keys["name"].text(LONGEST_NAME)
    kind = keys["type"].choice(INPUT_TYPES) if "type" in keys else ("select" if "values" in keys else "text")
    values = _values(keys.get("values"), kind, item)
    default = _default(keys.get("default"), kind, values)
    if kind in {"checkbox", "text"}:
        values = (default,)
    was = keys["was"].text(LONGEST_NAME) if "was" in keys else None
    return WantedAttribute(
        name, kind, values, default, keys["mutable"].flag() if "mutable" in keys else True, was
    )


def _values(part: Part | None, kind: str, item: Part) -> tuple[str, ...]:
    if kind in {"checkbox", "text"}:
        if part is not None:
            part.wrong(f"an attribute of type {kind} has no values", "Remove them, or set type: select.")
        return ()
    if part is None:
        wanted = "[minimum, maximum, step]" if kind == "number" else "[one, another]"
        item.wrong(f"an attribute of type {kind} has no values", f"Add values: {wanted}.")
    if kind == "number":
        return _range(part)
    values = [value.text(_LONGEST_VALUE) for value in part.items()]
    for value, where in zip(values, part.items(), strict=True):
        if values.count(value) > 1:
            where.wrong(f"the value '{value}' stands twice", "Remove one of them.")
        if "\n" in value:
            where.wrong("a value is one line", "Remove the line break.")
    if not values:
        part.wrong("there is no value to choose", "Name at least one.")
    if len("\n".join(values)) > _LONGEST_VALUES:
        part.wrong(f"the values have more than {_LONGEST_VALUES} characters together", "Shorten them.")
    return tuple(values)


def _range(part: Part) -> tuple[str, ...]:
    if part.node.tag.endswith(":map"):
        keys = part.mapping(_RANGE)
        for key in ("min", "max"):
            if key not in keys:
                part.wrong(f"the numbers have no {key}", "Write {min: 0, max: 100, step: 1}.")
        texts = [keys["min"].text(30), keys["max"].text(30), keys["step"].text(30) if "step" in keys else "1"]
    else:
        texts = [value.text(30) for value in part.items()]
    try:
        low, high, step = (float(text) for text in texts)
    except ValueError:
        part.wrong("minimum, maximum and step are expected here", "Write [0, 100, 1].")
    if not (math.isfinite(low) and math.isfinite(high) and low <= high and 0 < step < math.inf):
        part.wrong(f"[{', '.join(texts)}] is no range", "Minimum, maximum, and a step above 0.")
    return tuple(texts)


def _default(part: Part | None, kind: str, values: Sequence[str]) -> str:
    if part is None or (part.is_text is False and kind == "text"):
        return {"checkbox": "false", "text": ""}.get(kind) or (values[0] if values else "")
    default = "" if kind == "text" and part.node.value == "" else part.text(_LONGEST_DEFAULT)
    if kind == "checkbox":
        return "true" if part.flag() else "false"
    if kind == "number":
        try:
            inside = float(values[0]) <= float(default) <= float(values[1])
        except ValueError:
            inside = False
        if not inside:
            part.wrong(f"the default '{default}' is no number from {values[0]} to {values[1]}")
    elif values and default not in values:
        part.wrong(f"the default '{default}' is none of its values: {', '.join(values)}")
    return default
