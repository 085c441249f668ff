"""Columns of any type as numbers and texts: what a result file, and a record, can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from .table import Kind


@dataclass(frozen=True)
class Plain:
    """A column as a number or a text.

    Attributes:
        kind: of its values.
        expression: of SQL.
    """

    kind: Kind
    expression: sa.ColumnElement[Any]


def first_line(text: str) -> str:
    """Return the first line that says anything, without the blanks around it."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")
