"""Databases that records are read from: what they have in common, whatever engine they are of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from agir_cvtoolkit.errors import DatabaseError, QueryError

from .dates import DateStyle, style_of
from .table import Kind, Source

_AT_ONCE = 1000


@dataclass(frozen=True)
class Table:
    """A table as its database describes it.

    Attributes:
        kinds: kind of each column, in order; empty where there is no such table.
        relation: what is selected from; every column in it is a number or a text.
        address: see `Source`.
    """

    kinds: Mapping[str, Kind]
    relation: sa.FromClause
    address: str | None = None


class Database(ABC):
    """An open database for reading; a context manager. Nothing in it can be changed.

    Attributes:
        name: for people, without a password.
        setting: the key of the configuration that names it.
        connection: sees the database as it was when it was opened, where the engine can.
    """

    def __init__(self, engine: sa.Engine, name: str, setting: str) -> None:
        """Connect.

        Raises:
            DatabaseError: it cannot be opened.
        """
        self.name, self.setting = name, setting
        self._engine = engine
        dbapi: Any = engine.dialect.dbapi
        self._errors: tuple[type[Exception], ...] = (DBAPIError, dbapi.Error)
        with self.reading():
            self.connection = engine.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()
        self._engine.dispose()

    @property
    @abstractmethod
    def address(self) -> str:
        """What names this database from anywhere on this machine, without a password."""

    @property
    @abstractmethod
    def pictures_base(self) -> Path | None:
        """The folder at which relative paths of pictures start where nothing else is configured."""

    @abstractmethod
    def state(self, table: str) -> tuple[object, ...]:
        """Return what differs once a table has changed, as far as can be told without reading it."""

    @abstractmethod
    def tables(self) -> list[str]:
        """Return the names of all tables and views."""

    @abstractmethod
    def _table(self, name: str) -> Table: ...

    @abstractmethod
    def _is_text(self, column: sa.ColumnElement[Any], kind: Kind) -> sa.ColumnElement[bool]:
        """Return whether a column holds a text, row by row."""

    @abstractmethod
    def _explained(self, error: Exception) -> DatabaseError | QueryError: ...

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what the driver raises inside the block into this package's errors."""
        try:
            yield
        except self._errors as error:
            raise self._explained(error) from error

    def stream(self, statement: sa.Select[Any]) -> Iterator[tuple[object, ...]]:
        """Yield the rows of a statement, holding a thousand at a time."""
        connection = self.connection.execution_options(yield_per=_AT_ONCE)
        with self.reading(), connection.execute(statement) as result:
            for row in result:
                yield tuple(row)

    def sift(self, statement: sa.Select[Any], keep: Callable[..., bool]) -> Iterator[tuple[object, ...]]:
        """Yield the rows of which all values but the first are to be kept, and perhaps some twice.

        What is to be kept may change while the rows come.
        """
        for row in self.stream(statement):
            if keep(*row[1:]):
                yield row

    def source(self, table: str, id_columns: tuple[str, ...], setting: str = "db.semif.table") -> Source:
        """Return a table for querying.

        Args:
            table: its name.
            id_columns: the first of them that the table has is the key of a row.
            setting: the key of the configuration that names the table, for messages.

        Raises:
            DatabaseError: there is no such table, or it has none of the id columns.
        """
        found = self._table(table)
        if not found.kinds:
            there = ", ".join(self.tables()) or "none"
            raise DatabaseError(f"{self.name} has no table '{table}'; its tables: {there}", f"Set {setting}.")
        key = next((name for name in id_columns if name in found.kinds), None)
        if key is None:
            raise DatabaseError(
                f"table '{table}' of {self.name} has no id column ({' or '.join(dict.fromkeys(id_columns))})",
                f"Set data.{setting.split('.')[1]}.cutout_id_column to one of: {', '.join(found.kinds)}.",
            )
        return Source(
            table,
            found.kinds,
            key,
            date_style=cache(lambda name: self._date_style(found, name)),
            holds_text=cache(lambda name: self._holds_text(found, name)),
            relation=found.relation,
            address=found.address,
        )

    def _date_style(self, table: Table, name: str) -> DateStyle | None:
        texts = self._texts(table, name, sa.column(name)).limit(200)
        with self.reading():
            values = self.connection.execute(texts).scalars().all()
        styles = (style_of(value) for value in values if isinstance(value, str))
        return next((style for style in styles if style is not None), None)

    def _holds_text(self, table: Table, name: str) -> bool:
        with self.reading():
            return (
                self.connection.execute(self._texts(table, name, sa.literal(1)).limit(1)).first() is not None
            )

    def _texts(self, table: Table, name: str, wanted: sa.ColumnElement[Any]) -> sa.Select[Any]:
        return (
            sa.select(wanted)
            .select_from(table.relation)
            .where(self._is_text(sa.column(name), table.kinds[name]))
        )


class TypedDatabase(Database):
    """A database whose columns hold only what they are declared for."""

    def _is_text(self, column: sa.ColumnElement[Any], kind: Kind) -> sa.ColumnElement[bool]:
        return column.is_not(None) if kind == "text" else sa.false()
