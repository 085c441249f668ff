"""What lies below a key of the settings: the fields of a group, the values of a mapping, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

from ._base import Group

_INTERNAL = "origins"


def fields_of(annotation: object) -> Mapping[str, object] | None:
    """Return the keys of a group with their annotations; None where the annotation is of no group."""
    for kind in _alternatives(annotation):
        if isinstance(kind, type) and issubclass(kind, Group):
            return {key: field.annotation for key, field in kind.model_fields.items() if key != _INTERNAL}
    return None


def values_of(annotation: object) -> object | None:
    """Return the annotation of a mapping's values, whatever their keys; None where nothing lies below."""
    if annotation is Any:
        return Any
    for kind in _alternatives(annotation):
        if get_origin(kind) in (dict, Mapping):
            value: object = get_args(kind)[1]
            return value
    return None


def _alternatives(annotation: object) -> tuple[object, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
