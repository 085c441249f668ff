"""Single values out of documents that anybody may have written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_MILLISECONDS_FROM = 1e11
_MICROSECONDS_FROM = 1e14
_MAX_DEPTH = 12


def number(value: Any) -> float | None:
    """Return a finite number, also one that is written as text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value.strip())
        except ValueError:
            return None
    if isinstance(value, int | float):
        try:
            found = float(value)
        except OverflowError:
            return None
        return found if math.isfinite(found) else None
    return None


def text(value: Any) -> str:
    """Return a text or a number as text; empty for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return ""


def whole(value: Any, default: int) -> int:
    """Return a number without its fraction, `default` where it is none."""
    found = number(value)
    return default if found is None else int(found)


def moment(value: Any) -> datetime | None:
    """Return a time in UTC; None where it is none.

    Understood are ISO 8601 (without a zone it is UTC), seconds, milliseconds or microseconds since 1970, Firestore's
    own type, and the mapping ``{seconds, nanos}`` by which exports write that.
    """
    try:
        if isinstance(value, datetime):
            # Firestore's type counts nanoseconds; a plain one compares and prints like every other.
            aware = value if value.tzinfo else value.replace(tzinfo=UTC)
            return datetime.fromtimestamp(0, UTC) + (aware.astimezone(UTC) - datetime.fromtimestamp(0, UTC))
        if isinstance(value, Mapping):
            seconds = number(value.get("seconds", value.get("_seconds")))
            nanos = number(value.get("nanos", value.get("nanoseconds", value.get("_nanoseconds")))) or 0.0
            return None if seconds is None else datetime.fromtimestamp(seconds + nanos / 1e9, UTC)
        since = number(value)
        if since is not None:
            scale = 1e6 if since >= _MICROSECONDS_FROM else 1e3 if since >= _MILLISECONDS_FROM else 1.0
            return datetime.fromtimestamp(since / scale, UTC) if since > 0 else None
        if isinstance(value, str) and value.strip():
            read = datetime.fromisoformat(value.strip())
            return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def written_time(when: datetime) -> str:
    """Return a time as text whose alphabetical order is that of time: UTC, with microseconds."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def plain(value: Any, depth: int = 0) -> Any:
    """Return a value with nothing in it but what JSON and Firestore both know; other types become text.

    Firestore knows no list within a list (which becomes a mapping with ``keypoints``, as those of poses are meant),
    no number of more than 64 bits, no empty name and no name like ``__x__``.
    """
    if isinstance(value, str):
        return _whole_text(value)
    if isinstance(value, int) and abs(value) >= 2**63:
        return str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth >= _MAX_DEPTH:
        return _whole_text(str(value)[:200])
    if isinstance(value, Mapping):
        return {_name(str(key)): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [
            {"keypoints": plain(item, depth + 1)}
            if isinstance(item, list | tuple)
            else plain(item, depth + 1)
            for item in value
        ]
    if isinstance(value, datetime):
        return written_time(value)
    return _whole_text(str(value)[:200])


def _name(key: str) -> str:
    if key.startswith("__") and key.endswith("__"):
        key = key.strip("_")
    return _whole_text(key) or "_"


def _whole_text(value: str) -> str:
    """Return a text without halves of characters, which neither Firestore nor SQLite takes."""
    return value.encode("utf-8", "replace").decode("utf-8")
