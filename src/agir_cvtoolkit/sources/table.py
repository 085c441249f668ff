"""A table as the queries see it: its columns, what kind of values they hold, and which is the id."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa

from agir_cvtoolkit.errors import QueryError, did_you_mean

from .dates import DateStyle

Kind = Literal["integer", "number", "text", "any"]


def kind_of(declared: str) -> Kind:
    """Return what a declared column type holds.

    By the rules of SQLite for the affinity of a type (https://sqlite.org/datatype3.html, section 3.1); dates
    and times, which SQLite calls numeric, are stored as text or number alike and count as ``any``.
    """
    upper = declared.upper()
    if "INT" in upper:
        return "integer"
    if any(part in upper for part in ("CHAR", "CLOB", "TEXT")):
        return "text"
    if not upper or any(part in upper for part in ("BLOB", "DATE", "TIME")):
        return "any"
    return "number"


@dataclass(frozen=True)
class Source:
    """A table that can be queried.

    Attributes:
        name: of the table.
        kinds: kind of each column, in the order of the table.
        id_column: the key of a row.
        date_style: how a column writes dates, None where it holds none; asks the database.
        holds_text: whether a column that is declared numeric holds text as well; asks the database.
        relation: what is selected from, with all these columns.
        address: a hidden column that finds a row faster than its id does, while the database is open.
    """

    name: str
    kinds: Mapping[str, Kind]
    id_column: str
    date_style: Callable[[str], DateStyle | None] = field(compare=False)
    holds_text: Callable[[str], bool] = field(compare=False)
    relation: sa.FromClause = field(compare=False)
    address: str | None = None

    def resolve(self, name: str, where: str) -> str:
        """Return the name of a column as the table spells it.

        Args:
            name: as written by the user; upper and lower case are told apart only where the table does.
            where: what names the column, for the message.

        Raises:
            QueryError: there is no such column.
        """
        if name in self.kinds:
            return name
        same = [known for known in self.kinds if known.lower() == name.lower()]
        if len(same) == 1:
            return same[0]
        near = did_you_mean(name, self.kinds)
        listing = f"Columns: {', '.join(self.kinds)}."
        raise QueryError(
            f"{where} names the column '{name}', which table '{self.name}' does not have",
            f"{near} {listing}".strip(),
        )

    def first_of(self, *names: str) -> str | None:
        """Return the first of some columns that the table has."""
        return next((name for name in names if name in self.kinds), None)

    def column(self, name: str) -> sa.ColumnClause[Any]:
        """Return a column by its exact name."""
        return sa.column(name)

    def clause(self) -> sa.FromClause:
        """Return the table with all its columns."""
        return self.relation
