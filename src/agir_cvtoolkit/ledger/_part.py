"""What every part of the ledger is built on: one transaction at a time, and its events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert
from sqlalchemy.exc import SQLAlchemyError

from . import _tables as t
from ._failures import failed
from ._places import Workspace


class LedgerPart:
    """Tables that are asked and changed through one engine."""

    def __init__(self, engine: Engine, where: str, here: Workspace) -> None:
        self._engine = engine
        self._where = where
        self._here = here
        self._before_changes: list[Callable[[], None]] = []

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        for check in self._before_changes:
            check()
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise failed(self._where, error) from error


def columns_of(row: Any) -> dict[str, Any]:
    """Return a row's values by column; its fields are named like the columns."""
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


def add_event(
    connection: Connection, kind: str, run_id: str | None, record_id: str | None, detail: Mapping[str, object]
) -> None:
    """Record an event in the transaction of the fact that it stands for."""
    connection.execute(
        insert(t.events).values(
            at=now(), kind=kind, run_id=run_id, record_id=record_id, detail=json.dumps(detail, default=str)
        )
    )


def add_events(
    connection: Connection,
    kind: str,
    run_id: str | None,
    details: Iterable[tuple[str | None, Mapping[str, object]]],
) -> None:
    """Record events of one kind in the transaction of the facts that they stand for.

    Args:
        connection: of that transaction.
        kind: of all of them.
        run_id: of all of them.
        details: of each, with its record.
    """
    at = now()
    rows = [
        {
            "at": at,
            "kind": kind,
            "run_id": run_id,
            "record_id": record_id,
            "detail": json.dumps(detail, default=str),
        }
        for record_id, detail in details
    ]
    if rows:
        connection.execute(insert(t.events), rows)


def now() -> str:
    """Return the time as the ledger writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
