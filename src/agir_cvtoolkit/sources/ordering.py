"""``--sort`` and ``--projection``."""

from __future__ import annotations

from dataclasses import dataclass

from agir_cvtoolkit.errors import QueryError

from .table import Source

_DIRECTIONS = {"asc": False, "desc": True}


@dataclass(frozen=True)
class SortKey:
    """One column of an order.

    Attributes:
        descending: large values first; rows without a value come first in ascending order, else last.
    """

    column: str
    descending: bool = False

    def described(self) -> dict[str, str]:
        """Return the key as JSON-like values."""
        return {"column": self.column, "direction": "desc" if self.descending else "asc"}


def parse_sort(text: str | None, source: Source) -> tuple[SortKey, ...]:
    """Parse ``col[:asc|desc],...``; the id column, ascending, decides among equals.

    Raises:
        QueryError: an unknown column or direction.
    """
    keys: list[SortKey] = []
    for part in text.split(",") if text is not None else []:
        whole = part.strip()
        # A column's own name may hold a colon.
        name, colon, word = (whole, "", "") if whole in source.kinds else whole.rpartition(":")
        if not colon:
            name = whole
        direction = word.strip().lower() if colon else "asc"
        if direction not in _DIRECTIONS:
            raise QueryError(f"--sort '{text}': '{word}' is no direction", "Write asc or desc.")
        if not name.strip():
            raise QueryError(f"--sort '{text}' lacks a column", "Write for example --sort season:desc,state")
        column = source.resolve(name.strip(), "--sort")
        if column in {key.column for key in keys}:
            raise QueryError(f"--sort '{text}' names '{column}' twice", "Name each column once.")
        keys.append(SortKey(column, _DIRECTIONS[direction]))
    if source.id_column not in {key.column for key in keys}:
        keys.append(SortKey(source.id_column))
    return tuple(keys)


def parse_projection(text: str | None, source: Source) -> tuple[str, ...]:
    """Return the columns of a result: all, or those named, with the id column in front.

    Raises:
        QueryError: an unknown column, or none is named.
    """
    if text is None:
        return tuple(source.kinds)
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise QueryError(
            f"--projection '{text}' lacks a column", "Write for example --projection image_id,state"
        )
    columns = dict.fromkeys([source.id_column, *(source.resolve(name, "--projection") for name in names)])
    return tuple(columns)
