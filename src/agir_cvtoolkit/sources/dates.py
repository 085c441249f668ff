"""Dates in text columns, EXIF style ``2022:08:05 20:16:57`` or ISO style ``2022-08-05T20:16:57``.

A date in a filter stands for the whole of what it names: ``<=2022-12-31`` includes that day and
``=2022-12-31`` is any time of it; a month ``2022-12`` and a year ``2022`` likewise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from agir_cvtoolkit.errors import QueryError

_WRITTEN = re.compile(
    r"(?P<year>\d{4})(?:(?P<sep>[-:])(?P<month>\d{2})(?:(?P=sep)(?P<day>\d{2})"
    r"(?:[ T](?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?P<fraction>\.\d{1,9})?)?)?)?)?",
    re.ASCII,
)
_STORED = re.compile(r"\d{4}(?P<sep>[-:])\d{2}(?P=sep)\d{2}(?:(?P<between>[ T])\d{2}:\d{2}|$)", re.ASCII)


@dataclass(frozen=True)
class DateStyle:
    """How a column writes dates.

    Attributes:
        separator: between year, month and day.
        between: between date and time.
    """

    separator: str
    between: str


@dataclass(frozen=True)
class Span:
    """All texts of a column that a date names: ``low <= text < high``."""

    low: str
    high: str


def style_of(text: str) -> DateStyle | None:
    """Return the style of a stored text, or None where it is no date."""
    found = _STORED.match(text)
    return DateStyle(found["sep"], found["between"] or " ") if found else None


def looks_like_date(text: str) -> bool:
    """Whether a filter's value is written as a date."""
    return _WRITTEN.fullmatch(text.strip()) is not None


def span(text: str, style: DateStyle) -> Span | None:
    """Return what a date in a filter names in a column of the given style; None where it is no date.

    Raises:
        QueryError: there is no such day or time.
    """
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day = found["year"], found["month"], found["day"]
    hour, minute, second = found["hour"], found["minute"], found["second"]
    try:
        datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0)
        )
    except ValueError as error:
        raise QueryError(
            f"'{text}' is no date: {error}", "Write it as 2022-12-31 or 2022-12-31 18:30:00."
        ) from error
    low = style.separator.join(part for part in (year, month, day) if part)
    if hour is not None:
        low += (
            f"{style.between}{hour}:{minute}" + (f":{second}" if second else "") + (found["fraction"] or "")
        )
    # "~" sorts behind everything that can continue a date.
    return Span(low, low + "~")
