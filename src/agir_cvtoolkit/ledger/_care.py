"""What is taken back, and what others stand on."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import and_, func, or_, select

from . import _tables as t
from ._part import add_event
from ._push_rows import PushedTask
from ._pushes import Pushes
from ._rows import RunNeeds

REMOVED = "run removed"


class Care(Pushes):
    """Tasks that were undone, and runs that may go."""

    def undo_task(self, task: PushedTask) -> None:
        """Forget a task that was deleted on the server; each of its records keeps an event."""
        frames = t.push_frames
        here = (frames.c.push_id == task.push_id, frames.c.ordinal == task.ordinal)
        with self._begin() as connection:
            records = connection.execute(
                select(frames.c.record_id).where(*here).order_by(frames.c.frame)
            ).scalars()
            for record_id in records.all():
                detail = {"task": task.task_id, "url": task.url}
                add_event(connection, "undone", task.run_id, record_id, detail)
            detail = {"push": task.push_id, "name": task.name, "task": task.task_id}
            add_event(connection, "task undone", task.run_id, None, detail)
            self._forget(connection, task)

    def runs_of_push(self, push_id: str) -> list[str]:
        """Return the runs that have records in tasks of a push."""
        column = t.run_tasks.c.run_id
        query = select(column).distinct().where(t.run_tasks.c.push_id == push_id).order_by(column)
        with self._begin() as connection:
            return [str(value) for value in connection.execute(query).scalars()]

    def has_pushed(self, run_id: str) -> bool:
        """Whether records of a run lie in a task of any push, finished or not."""
        query = select(t.run_tasks.c.push_id).where(t.run_tasks.c.run_id == run_id).limit(1)
        with self._begin() as connection:
            return connection.execute(query).first() is not None

    def has_planned(self, push_id: str, name: str) -> bool:
        """Whether a task of this name was ever to be made by way of this ledger."""
        table = t.events
        told = select(table.c.detail).where(table.c.record_id.is_(None), table.c.kind == "task planned")
        wanted = {"push": push_id, "name": name}
        with self._begin() as connection:
            return any(json.loads(detail) == wanted for detail in connection.execute(told).scalars())

    def task_counts(self) -> dict[str, int]:
        """Return by run how many tasks hold records of it."""
        column = t.run_tasks.c.run_id
        with self._begin() as connection:
            rows = connection.execute(select(column, func.count()).group_by(column))
            return {str(run_id): int(count) for run_id, count in rows}

    def needs(self) -> RunNeeds:
        """Return which runs something else stands on."""
        used, tasks, jobs = t.run_tasks, t.push_tasks, t.push_jobs
        same = and_(used.c.push_id == tasks.c.push_id, used.c.ordinal == tasks.c.ordinal)
        open_tasks = select(used.c.run_id).join(tasks, same).where(tasks.c.state != "done")
        of_job = and_(used.c.push_id == jobs.c.push_id, used.c.ordinal == jobs.c.ordinal)
        replacing = select(used.c.run_id).join(jobs, of_job).where(jobs.c.state == "replacing")
        models = select(t.models.c.run_id, t.models.c.path).where(
            or_(t.models.c.is_champion, t.models.c.champion_since.is_not(None))
        )
        with self._begin() as connection:
            unfinished = {*connection.execute(open_tasks).scalars(), *connection.execute(replacing).scalars()}
            rows = connection.execute(models).all()
            return RunNeeds(
                unfinished=frozenset(unfinished),
                pushed=frozenset(connection.execute(select(used.c.run_id)).scalars()),
                pulled=frozenset(connection.execute(select(t.pulls.c.run_id)).scalars()),
                champions=frozenset(run_id for run_id, _ in rows if run_id is not None),
                champion_files=tuple(path for _, path in rows),
            )

    def run_removed(self, run_id: str, detail: Mapping[str, object]) -> None:
        """Record that a run's folder was removed; what is known of it stays."""
        with self._begin() as connection:
            add_event(connection, REMOVED, run_id, None, detail)
