"""Pulls: what the server listed, which job was read when, and how far a run has come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, delete, insert, select

from . import _tables as t
from ._part import LedgerPart, add_event, columns_of, now
from ._places import note_place
from ._pull_rows import Pull, PullCursor, PulledTaskRow, SeenJob

_MOST_IDS = 500


class Pulls(LedgerPart):
    """What was pulled."""

    def last_pull(self, server: str, run_id: str, job_id: int) -> Pull | None:
        """Return the newest reading of a job for a run."""
        return self.last_pulls(server, run_id, [job_id]).get(job_id)

    def last_pulls(self, server: str, run_id: str, job_ids: Iterable[int] | None = None) -> dict[int, Pull]:
        """Return the newest reading of each job for a run, by job.

        Args:
            server: address.
            run_id: of the run.
            job_ids: only these; None for all.
        """
        table = t.pulls
        of_run = and_(table.c.server == server, table.c.run_id == run_id)
        found: dict[int, Pull] = {}
        with self._begin() as connection:
            for condition in _by_ids(table.c.job_id, job_ids):
                query = select(table).where(of_run, *condition).order_by(table.c.id)
                for row in connection.execute(query).mappings():
                    found[row["job_id"]] = _pull(row)
        return found

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
            note_place(connection, pull.run_id, self._here)
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
            return [_pull(row) for row in rows]

    def seen_jobs(
        self, server: str, *, project_id: int | None = None, task_ids: Sequence[int] | None = None
    ) -> list[SeenJob]:
        """Return the jobs of a project or of tasks as they were last listed, by id.

        Args:
            server: address.
            project_id: jobs of this project.
            task_ids: jobs of these tasks; with `project_id` only those that are in both.
        """
        table = t.jobs
        found = []
        with self._begin() as connection:
            for condition in _in_scope(table, server, project_id, task_ids):
                rows = connection.execute(select(table).where(condition)).mappings()
                found += [SeenJob(**dict(row)) for row in rows]
        return sorted(found, key=lambda job: job.job_id)

    def see_jobs(self, jobs: Sequence[SeenJob]) -> None:
        """Record jobs as the server lists them; an older listing never replaces a newer one."""
        table = t.jobs
        if not jobs:
            return
        server = jobs[0].server
        with self._begin() as connection:
            known: dict[int, str] = {}
            for condition in _by_ids(table.c.job_id, [job.job_id for job in jobs]):
                query = select(table.c.job_id, table.c.updated_date).where(
                    table.c.server == server, *condition
                )
                known |= {row.job_id: row.updated_date for row in connection.execute(query)}
            newer = [
                job
                for job in jobs
                if job.job_id not in known or _moment(known[job.job_id]) <= _moment(job.updated_date)
            ]
            old = [job.job_id for job in newer if job.job_id in known]
            _delete_jobs(connection, server, old)
            if newer:
                connection.execute(insert(table), [columns_of(job) for job in newer])

    def forget_jobs(self, server: str, job_ids: Sequence[int]) -> None:
        """Drop jobs that the server no longer has."""
        with self._begin() as connection:
            _delete_jobs(connection, server, job_ids)

    def tasks_pulled(self, server: str, run_id: str) -> dict[int, PulledTaskRow]:
        """Return the tasks that a run pulls from, by id."""
        table = t.pull_tasks
        with self._begin() as connection:
            rows = connection.execute(
                select(table).where(table.c.server == server, table.c.run_id == run_id)
            ).mappings()
            return {row["task_id"]: PulledTaskRow(**dict(row)) for row in rows}

    def see_tasks(self, tasks: Sequence[PulledTaskRow]) -> None:
        """Record tasks as they are; what is known of the same ones is replaced."""
        table = t.pull_tasks
        if not tasks:
            return
        of_run = and_(table.c.server == tasks[0].server, table.c.run_id == tasks[0].run_id)
        with self._begin() as connection:
            for condition in _by_ids(table.c.task_id, [task.task_id for task in tasks]):
                connection.execute(delete(table).where(of_run, *condition))
            connection.execute(insert(table), [columns_of(task) for task in tasks])

    def pull_cursor(self, server: str, run_id: str, scope: str) -> PullCursor | None:
        """Return how far a run has read a scope, or None before its first whole reading."""
        table = t.pull_cursors
        names = PullCursor.__dataclass_fields__
        with self._begin() as connection:
            query = select(table).where(_same_scope(server, run_id, scope))
            row = connection.execute(query).mappings().first()
            return None if row is None else PullCursor(**{name: row[name] for name in names})

    def move_cursor(self, cursor: PullCursor) -> None:
        """Record how far a run has read a scope, once everything below is stored."""
        table = t.pull_cursors
        same = _same_scope(cursor.server, cursor.run_id, cursor.scope)
        with self._begin() as connection:
            connection.execute(delete(table).where(same))
            connection.execute(insert(table).values(moved=now(), **columns_of(cursor)))


def _pull(row: Any) -> Pull:
    return Pull(**{name: row[name] for name in Pull.__dataclass_fields__})


def _same_scope(server: str, run_id: str, scope: str) -> ColumnElement[bool]:
    columns = t.pull_cursors.c
    return and_(columns.server == server, columns.run_id == run_id, columns.scope == scope)


def _by_ids(column: Any, ids: Iterable[int] | None) -> list[tuple[ColumnElement[bool], ...]]:
    """Return conditions that together name the ids, few enough at once for any database."""
    if ids is None:
        return [()]
    listed = sorted(set(ids))
    return [(column.in_(listed[at : at + _MOST_IDS]),) for at in range(0, len(listed), _MOST_IDS)]


def _in_scope(
    table: Table, server: str, project_id: int | None, task_ids: Sequence[int] | None
) -> list[ColumnElement[bool]]:
    of_server = table.c.server == server
    of_project = () if project_id is None else (table.c.project_id == project_id,)
    return [and_(of_server, *of_project, *part) for part in _by_ids(table.c.task_id, task_ids)]


def _delete_jobs(connection: Any, server: str, job_ids: Sequence[int]) -> None:
    for condition in _by_ids(t.jobs.c.job_id, job_ids):
        connection.execute(delete(t.jobs).where(t.jobs.c.server == server, *condition))


def _moment(date: str) -> datetime:
    try:
        found = datetime.fromisoformat(date)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
