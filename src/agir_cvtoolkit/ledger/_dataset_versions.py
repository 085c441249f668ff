"""Versions of data sets: what was in each, which side it was on, and from which version it was made."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, insert, select

from . import _tables as t
from ._model_rows import DatasetMember, DatasetVersion
from ._part import LedgerPart, add_event, add_events, columns_of, now

_TABLES = ("made_from", "tiles", "classes", "class_pixels")


class DatasetVersions(LedgerPart):
    """Every data set that was made, by the fingerprint of its content."""

    def record_dataset(self, version: DatasetVersion, members: Iterable[DatasetMember]) -> bool:
        """Record a version with its members; one that is known stays what it is.

        In the life of a record it is told where the record is new or on another side than in the parent.

        Returns:
            Whether it is new.
        """
        table = t.dataset_versions
        with self._begin() as connection:
            known = select(table.c.version).where(table.c.version == version.version)
            if connection.execute(known).first() is not None:
                return False
            values = asdict(version) | {name: json.dumps(getattr(version, name)) for name in _TABLES}
            connection.execute(insert(table).values(values | {"created": now()}))
            new = list(members)
            if new:
                rows = [{"version": version.version, **columns_of(member)} for member in new]
                connection.execute(insert(t.dataset_members), rows)
            detail = {"version": version.version, "parent": version.parent, "records": len(new)}
            add_event(connection, "data set made", version.run_id, None, detail)
            before = {(m.record_id, m.side) for m in _members(connection, version.parent)}
            changed = [m for m in new if (m.record_id, m.side) not in before]
            lives = [(m.record_id, {"version": version.version, "side": m.side}) for m in changed]
            add_events(connection, "in data set", version.run_id, lives)
            return True

    def datasets(self) -> list[DatasetVersion]:
        """Return all versions, newest first."""
        table = t.dataset_versions
        with self._begin() as connection:
            rows = connection.execute(select(table).order_by(table.c.created.desc(), table.c.version))
            return [_version(row) for row in rows.mappings()]

    def dataset_members(self, version: str) -> list[DatasetMember]:
        """Return the records of a version, by id."""
        with self._begin() as connection:
            return _members(connection, version)


def _members(connection: Connection, version: str | None) -> list[DatasetMember]:
    table = t.dataset_members
    of_version = select(table).where(table.c.version == version).order_by(table.c.record_id)
    names = DatasetMember.__dataclass_fields__
    return [
        DatasetMember(**{name: row[name] for name in names})
        for row in connection.execute(of_version).mappings()
    ]


def _version(row: Any) -> DatasetVersion:
    values = {name: row[name] for name in DatasetVersion.__dataclass_fields__}
    values |= {name: json.loads(values[name]) for name in _TABLES}
    return DatasetVersion(**values | {name: tuple(values[name]) for name in ("classes", "class_pixels")})
