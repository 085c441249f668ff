"""Pushes: what was sent where, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, insert, select, update

from . import _tables as t
from ._part import LedgerPart, add_event, columns_of, now
from ._push_rows import PushedFrame, PushedJob, PushedShape, PushedTask, PushKey


class Pushes(LedgerPart):
    """What was pushed."""

    def open_push(self, key: PushKey, run_id: str) -> str:
        """Return the id of a push, recording it when it is new."""
        push_id = key.push_id
        with self._begin() as connection:
            known = connection.execute(
                select(t.pushes.c.push_id).where(t.pushes.c.push_id == push_id)
            ).first()
            if known is None:
                values = {
                    "server": key.server,
                    "project_id": key.project_id,
                    "organization": key.organization,
                    "name": key.name,
                    "kind": key.kind,
                }
                connection.execute(
                    insert(t.pushes).values(push_id=push_id, run_id=run_id, created=now(), **values)
                )
                add_event(connection, "push opened", run_id, None, {"push": push_id, **values})
        return push_id

    def tasks_of_push(self, push_id: str) -> list[PushedTask]:
        """Return the tasks of a push in their order."""
        table = t.push_tasks
        return self._tasks(select(table).where(table.c.push_id == push_id).order_by(table.c.ordinal))

    def has_open_tasks(self, push_id: str) -> bool:
        """Whether an earlier call left a task of this push unfinished."""
        return any(task.state != "done" for task in self.tasks_of_push(push_id))

    def run_uses(self, run_id: str, push_id: str, ordinals: Iterable[int]) -> None:
        """Record that records of a run lie in tasks of a push, whichever run made them."""
        table = t.run_tasks
        with self._begin() as connection:
            for ordinal in ordinals:
                same = and_(table.c.run_id == run_id, table.c.push_id == push_id, table.c.ordinal == ordinal)
                if connection.execute(select(table.c.run_id).where(same)).first() is None:
                    connection.execute(insert(table).values(run_id=run_id, push_id=push_id, ordinal=ordinal))

    def tasks_of_run(self, run_id: str, server: str) -> list[PushedTask]:
        """Return the finished tasks on a server that hold records which a run pushed, oldest first."""
        table, used = t.push_tasks, t.run_tasks
        same = and_(used.c.push_id == table.c.push_id, used.c.ordinal == table.c.ordinal)
        joined = select(table).join(t.pushes, t.pushes.c.push_id == table.c.push_id).join(used, same)
        wanted = and_(used.c.run_id == run_id, t.pushes.c.server == server, table.c.state == "done")
        return self._tasks(joined.where(wanted).order_by(table.c.task_id))

    def task_by_id(self, server: str, task_id: int) -> PushedTask | None:
        """Return a task that this tool made on a server, or None for a stranger's."""
        table = t.push_tasks
        joined = select(table).join(t.pushes, t.pushes.c.push_id == table.c.push_id)
        found = self._tasks(joined.where(and_(t.pushes.c.server == server, table.c.task_id == task_id)))
        return found[0] if found else None

    def frames_of_push(self, push_id: str) -> list[PushedFrame]:
        """Return all frames of a push."""
        return self._frames(t.push_frames.c.push_id == push_id)

    def frames_of_task(self, task: PushedTask) -> list[PushedFrame]:
        """Return the frames of one task, by frame number."""
        table = t.push_frames
        return self._frames(and_(table.c.push_id == task.push_id, table.c.ordinal == task.ordinal))

    def plan_task(self, task: PushedTask) -> None:
        """Reserve a task's ordinal and name before anything is sent."""
        values = {"name": task.name, "run_id": task.run_id, "state": "planned", "task_id": None, "url": None}
        with self._begin() as connection:
            self._forget(connection, task)
            connection.execute(
                insert(t.push_tasks).values(
                    push_id=task.push_id, ordinal=task.ordinal, changed=now(), **values
                )
            )
            connection.execute(
                insert(t.run_tasks).values(run_id=task.run_id, push_id=task.push_id, ordinal=task.ordinal)
            )
            add_event(
                connection, "task planned", task.run_id, None, {"push": task.push_id, "name": task.name}
            )

    def task_created(self, task: PushedTask, task_id: int, url: str) -> None:
        """Record the id of a task before its data are sent."""
        with self._begin() as connection:
            self._set_task(connection, task, state="created", task_id=task_id, url=url)
            add_event(connection, "task created", task.run_id, None, {"push": task.push_id, "task": task_id})

    def task_filled(self, task: PushedTask, frames: Sequence[PushedFrame]) -> None:
        """Record a task's verified frame map; its records have a picture of their own from now on."""
        aliases = t.push_aliases
        own = and_(aliases.c.push_id == task.push_id, aliases.c.record_id == bindparam("record"))
        with self._begin() as connection:
            self._set_task(connection, task, state="filled")
            if frames:
                connection.execute(insert(t.push_frames), [columns_of(f) for f in frames])
                connection.execute(delete(aliases).where(own), [{"record": f.record_id} for f in frames])

    def task_done(
        self,
        task: PushedTask,
        counts: Mapping[int, int],
        shapes: Sequence[PushedShape] | None = None,
        jobs: Sequence[PushedJob] = (),
    ) -> None:
        """Record what was read back from a task.

        Args:
            task: of the push.
            counts: shapes by frame.
            shapes: all of them; None where `keep_shapes` has recorded them on the way.
            jobs: as they were left.
        """
        table = t.push_frames
        with self._begin() as connection:
            self._set_task(connection, task, state="done")
            if shapes is not None:
                connection.execute(delete(t.push_shapes).where(_same_task(t.push_shapes, task)))
            if shapes:
                rows = [{"push_id": task.push_id, "ordinal": task.ordinal, **columns_of(s)} for s in shapes]
                connection.execute(insert(t.push_shapes), rows)
            if jobs:
                connection.execute(delete(t.push_jobs).where(_same_task(t.push_jobs, task)))
                connection.execute(insert(t.push_jobs), [columns_of(job) for job in jobs])
            for frame, record_id in connection.execute(
                select(table.c.frame, table.c.record_id).where(_same_task(table, task))
            ).all():
                count = counts.get(frame, 0)
                connection.execute(
                    update(table).where(_same_task(table, task), table.c.frame == frame).values(shapes=count)
                )
                detail = {"task": task.task_id, "frame": frame, "shapes": count, "url": task.url}
                add_event(connection, "pushed", task.run_id, record_id, detail)

    def forget_task(self, task: PushedTask) -> None:
        """Drop an unfinished task that is no longer on the server."""
        with self._begin() as connection:
            self._forget(connection, task)
            detail = {"push": task.push_id, "name": task.name, "task": task.task_id}
            add_event(connection, "task dropped", task.run_id, None, detail)

    def _forget(self, connection: Connection, task: PushedTask) -> None:
        of_task = (t.push_shapes, t.push_frames, t.push_jobs, t.push_aliases, t.push_replacements)
        for table in (*of_task, t.replacement_shapes, t.run_tasks, t.push_tasks):
            connection.execute(delete(table).where(_same_task(table, task)))

    @staticmethod
    def _set_task(connection: Connection, task: PushedTask, **values: Any) -> None:
        connection.execute(
            update(t.push_tasks).where(_same_task(t.push_tasks, task)).values(changed=now(), **values)
        )

    def _tasks(self, query: Any) -> list[PushedTask]:
        names = ("push_id", "ordinal", "name", "run_id", "state", "task_id", "url")
        with self._begin() as connection:
            return [PushedTask(**{n: row[n] for n in names}) for row in connection.execute(query).mappings()]

    def _frames(self, condition: Any) -> list[PushedFrame]:
        table = t.push_frames
        with self._begin() as connection:
            rows = connection.execute(select(table).where(condition).order_by(table.c.ordinal, table.c.frame))
            return [PushedFrame(**dict(row)) for row in rows.mappings()]

    def pushes(self) -> list[tuple[str, PushKey, str]]:
        """Return all pushes as id, key and run, oldest first."""
        table = t.pushes
        with self._begin() as connection:
            return [
                (
                    r["push_id"],
                    PushKey(r["server"], r["project_id"], r["organization"], r["name"], r["kind"]),
                    r["run_id"],
                )
                for r in connection.execute(select(table).order_by(table.c.created)).mappings()
            ]


def _same_task(table: Any, task: PushedTask) -> Any:
    return and_(table.c.push_id == task.push_id, table.c.ordinal == task.ordinal)
