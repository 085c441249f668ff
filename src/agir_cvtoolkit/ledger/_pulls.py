"""Pulls: which job was read when."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import and_, delete, insert, select

from . import _tables as t
from ._part import LedgerPart, add_event, columns_of, now
from ._rows import Pull


class Pulls(LedgerPart):
    """What was pulled."""

    def last_pull(self, server: str, run_id: str, job_id: int) -> Pull | None:
        """Return the newest reading of a job for a run."""
        table = t.pulls
        wanted = and_(table.c.server == server, table.c.run_id == run_id, table.c.job_id == job_id)
        with self._begin() as connection:
            row = (
                connection.execute(select(table).where(wanted).order_by(table.c.id.desc()).limit(1))
                .mappings()
                .first()
            )
            if row is None:
                return None
            return Pull(**{k: v for k, v in row.items() if k not in {"id", "created"}})

    def record_pull(self, pull: Pull, records: Mapping[str, int]) -> None:
        """Record that a job was read and stored, and how many shapes each record came back with."""
        table = t.pulls
        same = and_(
            table.c.server == pull.server,
            table.c.run_id == pull.run_id,
            table.c.job_id == pull.job_id,
            table.c.updated_date == pull.updated_date,
        )
        with self._begin() as connection:
            connection.execute(delete(table).where(same))
            connection.execute(insert(table).values(created=now(), **columns_of(pull)))
            for record_id, shapes in records.items():
                detail = {"task": pull.task_id, "job": pull.job_id, "shapes": shapes, "state": pull.state}
                add_event(connection, "pulled", pull.run_id, record_id, detail)

    def pulls_of_task(self, server: str, task_id: int) -> list[Pull]:
        """Return all readings of a task's jobs, oldest first."""
        table = t.pulls
        with self._begin() as connection:
            rows = connection.execute(
                select(table).where(table.c.server == server, table.c.task_id == task_id).order_by(table.c.id)
            ).mappings()
            return [Pull(**{k: v for k, v in row.items() if k not in {"id", "created"}}) for row in rows]
