"""How long people were at work on jobs, as the server's event log told when they were read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, func, insert, select

from . import _tables as t
from ._part import LedgerPart, columns_of
from ._pull_rows import JobWork, WaitingJob

_MOST_IDS = 500


class WorkOnJobs(LedgerPart):
    """What event logs have told."""

    def work_on_jobs(self, server: str, job_ids: Iterable[int]) -> dict[int, JobWork]:
        """Return what is known of the work on jobs, by job; those of which nothing was asked are not in it."""
        table = t.job_work
        wanted = sorted(set(job_ids))
        found: dict[int, JobWork] = {}
        with self._begin() as connection:
            for at in range(0, len(wanted), _MOST_IDS):
                part = table.c.job_id.in_(wanted[at : at + _MOST_IDS])
                for row in connection.execute(select(table).where(table.c.server == server, part)).mappings():
                    found[row["job_id"]] = JobWork(**dict(row))
        return found

    def jobs_to_look_up(self, server: str) -> list[WaitingJob]:
        """Return the jobs of a server that were read, and of which the log may still say more, as they were read."""
        pulls, jobs, table = t.pulls, t.jobs, t.job_work
        same = (pulls.c.server == jobs.c.server) & (pulls.c.job_id == jobs.c.job_id)
        newest = select(func.max(pulls.c.id)).where(pulls.c.server == server).group_by(pulls.c.job_id)
        told = (
            (table.c.server == pulls.c.server)
            & (table.c.job_id == pulls.c.job_id)
            & (table.c.updated_date == pulls.c.updated_date)
            & table.c.is_final
        )
        names = ("job_id", "task_id", "updated_date", "assignee")
        query = (
            select(*(pulls.c[name] for name in names), jobs.c.project_id)
            .outerjoin(jobs, same)
            .where(pulls.c.id.in_(newest), ~select(table.c.job_id).where(told).exists())
            .order_by(pulls.c.job_id)
        )
        with self._begin() as connection:
            return [WaitingJob(**dict(row)) for row in connection.execute(query).mappings()]

    def record_work(self, rows: Sequence[JobWork]) -> None:
        """Record what the log told of jobs of one server; what it told of the same jobs before is replaced."""
        table = t.job_work
        if not rows:
            return
        with self._begin() as connection:
            ids = sorted(row.job_id for row in rows)
            for at in range(0, len(ids), _MOST_IDS):
                part = table.c.job_id.in_(ids[at : at + _MOST_IDS])
                connection.execute(delete(table).where(table.c.server == rows[0].server, part))
            connection.execute(insert(table), [columns_of(row) for row in rows])
