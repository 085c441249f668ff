"""A query, understood: what will be read from which table, and how to say so again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from agir_cvtoolkit.errors import QueryError
from agir_cvtoolkit.records import FieldValue

from .compiling import compile_condition
from .conditions import Condition, described
from .database import DRAW_KEY, Database
from .filters import parse_filters
from .ordering import SortKey, parse_projection, parse_sort
from .sampling import Sample, parse_sample
from .table import Kind, Source

Row = tuple[FieldValue, ...]

_CHUNK = 500
_LARGEST = 2**63 - 1


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
            "sample": {"raw": request.sample, "parsed": self.sample.described() if self.sample else None},
        }

    def count(self, database: Database, *, whole: bool = False) -> int:
        """Return how many rows the query gives; `whole` leaves limit and offset aside."""
        inner = self._drawn() if whole else self._page(self._drawn())
        with database.reading():
            found = database.connection.execute(
                sa.select(sa.func.count()).select_from(inner.subquery())
            ).scalar_one()
        return int(found)

    def rows(self, database: Database, at_most: int | None = None) -> Iterator[Row]:
        """Read the result, a few hundred rows at a time.

        Args:
            database: an open database with the table.
            at_most: stop after so many rows.
        """
        statement = self._page(self._drawn(), at_most)
        with database.reading():
            result = database.connection.execution_options(yield_per=_CHUNK).execute(statement)
            for row in result:
                yield tuple(_plain(value) for value in row)

    def _drawn(self) -> sa.Select[Any]:
        """Return the filtered and sampled rows, with all columns that the rest needs."""
        table = self.source.clause()
        needed = dict.fromkeys([*self.columns, *(key.column for key in self.sort)])
        chosen = sa.select(*(table.c[name] for name in needed))
        where = compile_condition(self.condition, self.source) if self.condition is not None else None
        if where is not None:
            chosen = chosen.where(where)
        if self.sample is None:
            return chosen
        key = table.c[self.source.id_column]
        place = getattr(sa.func, DRAW_KEY)(sa.literal(self.sample.seed), key)
        if not self.sample.by:
            drawn = chosen.order_by(place, key).limit(self.sample.n).subquery()
            return sa.select(*(drawn.c[name] for name in needed))
        groups = [table.c[name] for name in self.sample.by]
        rank_name = _unused("rank", self.source)
        rank = sa.func.row_number().over(partition_by=groups, order_by=[place, key]).label(rank_name)
        ranked = chosen.add_columns(rank).subquery()
        kept = sa.select(*(ranked.c[name] for name in needed))
        return kept.where(ranked.c[rank_name] <= sa.literal(self.sample.n))

    def _page(self, drawn: sa.Select[Any], at_most: int | None = None) -> sa.Select[Any]:
        rows = drawn.subquery()
        statement = sa.select(*(rows.c[name] for name in self.columns))
        order = [
            rows.c[key.column].desc() if key.descending else rows.c[key.column].asc() for key in self.sort
        ]
        statement = statement.order_by(*order)
        limits = [bound for bound in (self.request.limit, at_most) if bound is not None]
        if self.request.offset:
            # SQLite knows no OFFSET without LIMIT.
            return statement.limit(min(limits, default=_LARGEST)).offset(self.request.offset)
        return statement.limit(min(limits)) if limits else statement


def plan_query(request: Request, source: Source) -> Plan:
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
    sample = parse_sample(request.sample, request.limit)
    if sample is not None:
        by = tuple(source.resolve(name, "--sample by") for name in sample.by)
        sample = Sample(sample.strategy, sample.n, sample.seed, by, sample.seed_given)
    return Plan(
        request,
        source,
        condition,
        parse_projection(request.projection, source),
        parse_sort(request.sort, source),
        sample,
    )


def _plain(value: object) -> FieldValue:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def _unused(name: str, source: Source) -> str:
    taken = {known.lower() for known in source.kinds}
    while name in taken:
        name += "_"
    return name
