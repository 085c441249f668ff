"""Where each setting comes from, and what is said of one that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from agir_cvtoolkit.errors import ConfigError, did_you_mean

from ._keys import fields_of, values_of
from ._redact import redacted
from ._settings import PACKAGED, RETIRED, Settings


def settings_keys() -> list[str]:
    """Return all dotted keys of the settings."""
    return sorted(key for key, _ in leaves(Settings().dump()))


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and their values."""
    for key, value in tree.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from leaves(value, dotted + ".")
        else:
            yield dotted, value


def unknown_setting(dotted: str, part: str, fields: Mapping[str, object], where: str = "") -> ConfigError:
    """Return what is said of a setting that there is not."""
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


def explained(error: ValidationError, origins: Mapping[str, str]) -> ConfigError:
    """Return what is said of a value that does not fit, and where it comes from."""
    first = error.errors(include_url=False)[0]
    location = [str(part) for part in first["loc"]]
    dotted = ".".join(location)
    where = f" ({_origin_of(dotted, location, origins)})"
    if first["type"] == "extra_forbidden":
        return unknown_setting(dotted, location[-1], _fields_at(location[:-1]), where)
    see = "See: agir-cvtoolkit config show --origin"
    if first["type"] == "value_error":  # of several keys together
        return ConfigError(f"{dotted}{where}: {first['ctx']['error']}", see)
    value = redacted(repr(first.get("input")))
    if first["type"] in {"tuple_type", "list_type"} and isinstance(first.get("input"), str | int | float):
        return ConfigError(
            f"{dotted}={value}{where} is no list", f"Write a list: [{redacted(str(first['input']))}]"
        )
    return ConfigError(f"{dotted}={value}{where}: {first['msg'].lower()}", see)


def unfit(error: ValidationError, group: str) -> str:
    """Return what is said of an option that does not fit into a group, such as one of the command line."""
    first = error.errors(include_url=False)[0]
    dotted = ".".join((group, *(str(part) for part in first["loc"])))
    if first["type"] == "value_error":
        return f"{dotted}: {first['ctx']['error']}"
    return f"{dotted}={redacted(repr(first.get('input')))}: {first['msg'].lower()}"


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
    annotation: object = Settings
    for part in location:
        fields = fields_of(annotation)
        annotation = values_of(annotation) if fields is None else fields.get(part)
    return fields_of(annotation) or {}
