"""What is taken back, and whether a ledger is sound."""

from __future__ import annotations

from sqlalchemy import select

from . import _tables as t
from ._part import add_event
from ._pushes import Pushes
from ._rows import PushedTask


class Care(Pushes):
    """Tasks that were undone."""

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
