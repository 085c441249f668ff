"""A query, understood: what will be read from which table, and how to say so again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import sqlalchemy as sa

from agir_cvtoolkit.errors import QueryError
from agir_cvtoolkit.records import FieldValue

from .compiling import compile_condition
from .conditions import Condition, described
from .database import Database
from .dialects import Ordered, listed
from .drawing import Draw, Group, balanced, counted, proportional
from .exclusion import Exclusion
from .filters import parse_filters
from .ordering import SortKey, parse_projection, parse_sort
from .sampling import Sample, parse_sample
from .spread import Place, cells, place_of
from .table import Kind, Source

Row = tuple[FieldValue, ...]

_LARGEST = 2**63 - 1
_PLAIN = frozenset({type(None), str, int, float})


@dataclass(frozen=True)
class Request:
    """A query as the user wrote it."""

    filters: tuple[str, ...] = ()
    projection: str | None = None
    sort: str | None = None
    limit: int | None = None
    offset: int | None = None
    sample: str | None = None


@dataclass(frozen=True)
class Plan:
    """A query, understood and checked against the table."""

    request: Request
    source: Source
    condition: Condition | None
    columns: tuple[str, ...]
    sort: tuple[SortKey, ...]
    sample: Sample | None
    exclusion: Exclusion | None = None
    _memo: list[Sequence[object]] = field(default_factory=list, init=False, compare=False, repr=False)

    @property
    def kinds(self) -> dict[str, Kind]:
        """Kind of values of each column of the result."""
        return {name: self.source.kinds[name] for name in self.columns}

    @property
    def parameters(self) -> dict[str, object]:
        """Everything that decides the result, as JSON-like values: raw as written, and as understood."""
        request = self.request
        parsed = described(self.condition) if self.condition is not None else None
        return {
            "filters": {"raw": list(request.filters), "parsed": parsed},
            "projection": list(self.columns) if request.projection is not None else None,
            "sort": {"raw": request.sort, "parsed": [key.described() for key in self.sort]},
            "limit": request.limit,
            "offset": request.offset,
            "sample": {
                "raw": request.sample,
                "parsed": self.sample.described() if self.sample else None,
                "again": self.sample.written() if self.sample else None,
            },
            "exclude": self.exclusion.described() if self.exclusion else None,
        }

    def count(self, database: Database, *, whole: bool = False) -> int:
        """Return how many rows the query gives; `whole` leaves limit and offset aside."""
        drawn = self._drawn(database)
        found = len(drawn) if drawn is not None else self._matches(database)
        if whole:
            return found
        left = max(0, found - (self.request.offset or 0))
        return left if self.request.limit is None else min(left, self.request.limit)

    def matches_alone(self, database: Database) -> dict[str, int]:
        """Return how many rows each filter lets pass by itself."""
        found = {}
        for text in self.request.filters:
            found[text] = replace(
                self, condition=parse_filters([text]), sample=None, exclusion=None
            )._matches(database)
        return found

    def rows(self, database: Database, at_most: int | None = None) -> Iterator[Row]:
        """Read the result, some hundred rows at a time.

        Args:
            database: an open database with the table.
            at_most: stop after so many rows.
        """
        names = [self.source.column(name) for name in self.columns]
        statement = self._where(sa.select(*names), self._drawn(database)).order_by(*self._order())
        limits = [bound for bound in (self.request.limit, at_most) if bound is not None]
        if limits or self.request.offset:
            # SQLite knows no OFFSET without LIMIT.
            statement = statement.limit(min(limits, default=_LARGEST)).offset(self.request.offset or None)
        for row in database.stream(statement):
            yield cast("Row", row) if _PLAIN.issuperset(map(type, row)) else tuple(map(_plain, row))

    def _where(self, statement: sa.Select[Any], drawn: Sequence[object] | None = None) -> sa.Select[Any]:
        statement = statement.select_from(self.source.clause())
        if drawn is not None:
            return statement.where(listed(self._address, drawn) if drawn else sa.false())  # type: ignore[arg-type]
        if self.condition is not None:
            statement = statement.where(compile_condition(self.condition, self.source))
        if self.exclusion is not None:
            statement = statement.where(self.exclusion.condition(self.source))
        return statement

    def _order(self) -> list[sa.UnaryExpression[Any]]:
        """Return the order, the same in each database: by code points, what is missing before all else."""
        order = []
        for key in self.sort:
            column: sa.ColumnElement[Any] = self.source.column(key.column)
            if self.source.kinds[key.column] == "text":
                column = Ordered(column)
            order.append(column.desc().nulls_last() if key.descending else column.asc().nulls_first())
        return order

    def _matches(self, database: Database) -> int:
        for row in database.stream(self._where(sa.select(sa.func.count()))):
            return int(str(row[0]))
        return 0

    # --- draws ------------------------------------------------------------------------------------------

    @property
    def _address(self) -> sa.ColumnElement[Any]:
        return self.source.column(self.source.address or self.source.id_column)

    def _drawn(self, database: Database) -> Sequence[object] | None:
        """Return where the drawn rows are found, None without a sample; they are drawn once."""
        if self.sample is None:
            return None
        if not self._memo:
            by = [self.source.column(name) for name in self.sample.by]
            key = self.source.column(self.source.id_column)
            members = self._where(sa.select(self._address, key, *by))
            self._memo.append(_drawn(self.sample, members, database))
        return self._memo[0]


def plan_query(request: Request, source: Source, exclusion: Exclusion | None = None) -> Plan:
    """Understand a query and check it against a table.

    Raises:
        QueryError: a filter, sample, sort, projection, limit or offset that cannot be understood.
    """
    for name, number in (("--limit", request.limit), ("--offset", request.offset)):
        if number is not None and not 0 <= number <= _LARGEST:
            raise QueryError(f"{name} {number} is impossible", "Give a whole number, 0 or more.")
    condition = parse_filters(request.filters)
    if condition is not None:
        compile_condition(condition, source)
    sample = parse_sample(request.sample, request.limit or None)
    if sample is not None:
        by = tuple(source.resolve(name, "--sample by") for name in sample.by)
        sample = replace(sample, by=by)
    return Plan(
        request,
        source,
        condition,
        parse_projection(request.projection, source),
        parse_sort(request.sort, source),
        sample,
        exclusion,
    )


def _drawn(sample: Sample, members: sa.Select[Any], database: Database) -> Sequence[object]:
    if sample.strategy == "spread":
        return _drawn_from_cells(sample, members, database)
    draw = Draw(sample.seed, _quota(sample, (row[2:] for row in database.stream(members))))
    for row in database.sift(members, draw.may_come):
        draw.add(*row)
    return draw.drawn()


def _quota(sample: Sample, groups: Iterator[Group]) -> Callable[[Group], int]:
    if sample.strategy in {"random", "seeded", "stratified"}:
        return lambda _group: sample.n
    share = proportional if sample.strategy == "proportional" else balanced
    return share(counted(groups), sample.n, sample.seed).__getitem__


def _drawn_from_cells(sample: Sample, members: sa.Select[Any], database: Database) -> Sequence[object]:
    def placed() -> Iterator[tuple[tuple[object, ...], Place]]:
        for row in database.stream(members):
            place = place_of(row[2:])
            if place is not None:
                yield row[:2], place

    if next(placed(), None) is None and next(iter(database.stream(members)), None) is not None:
        words = ", ".join(f"'{name}'" for name in sample.by)
        raise QueryError(
            f"--sample spread: no row has a number, a date or a list of numbers in {words}",
            "Spread over a time or a place, or draw from groups: balanced:by=COLUMN,n=N.",
        )
    cell_of = cells((place for _, place in placed()), sample.n)
    draw = Draw(sample.seed, _quota(sample, (cell_of(place) for _, place in placed())))
    for row, place in placed():
        cell = cell_of(place)
        if draw.may_come(row[1], *cell):
            draw.add(*row, *cell)
    return draw.drawn()


def _plain(value: object) -> FieldValue:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, bytes | memoryview):
        return value.hex()
    return str(value)
