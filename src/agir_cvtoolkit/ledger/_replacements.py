"""What a push left in each job, and new proposals on their way into one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, select, update

from . import _tables as t
from ._part import LedgerPart, add_event, columns_of
from ._push_rows import PushedAlias, PushedJob, PushedShape, PushedTask, Replacement


class Replacements(LedgerPart):
    """Shapes and jobs as a push left them, pictures that several records share, and replacements."""

    # --- shapes ---------------------------------------------------------------------------------

    def keep_shapes(self, task: PushedTask, shapes: Mapping[int, Sequence[PushedShape]]) -> None:
        """Record the shapes of some frames, in place of what was recorded for these frames.

        Args:
            task: of the frames.
            shapes: by frame; a frame without shapes has an empty list.
        """
        with self._begin() as connection:
            _keep(connection, t.push_shapes, task, shapes)

    def shapes_of_frame(self, task: PushedTask, frame: int) -> list[PushedShape]:
        """Return the shapes that a push left on a frame, in their order."""
        return self._shapes(t.push_shapes, task, frame)

    def labels_left(self, task: PushedTask) -> dict[int, set[str]]:
        """Return the labels that a push left on each frame of a task; frames without shapes are not listed."""
        table = t.push_shapes
        query = select(table.c.frame, table.c.label).distinct().where(_of_task(table, task))
        found: dict[int, set[str]] = {}
        with self._begin() as connection:
            for frame, label in connection.execute(query):
                found.setdefault(frame, set()).add(label)
        return found

    def shape_counts(self, task: PushedTask) -> dict[int, int]:
        """Return how many shapes a push left on each frame of a task; frames without any are not listed."""
        table = t.push_shapes
        query = select(table.c.frame, func.count()).where(_of_task(table, task)).group_by(table.c.frame)
        with self._begin() as connection:
            return {frame: int(count) for frame, count in connection.execute(query)}

    # --- jobs -----------------------------------------------------------------------------------

    def jobs_of_push(self, push_id: str) -> list[PushedJob]:
        """Return the jobs of a push as it left them, by task and frame."""
        return self._jobs(t.push_jobs.c.push_id == push_id)

    def count_jobs_before(self, task: PushedTask) -> int:
        """Return how many jobs of the same push are in the tasks before this one."""
        table = t.push_jobs
        before = and_(table.c.push_id == task.push_id, table.c.ordinal < task.ordinal)
        with self._begin() as connection:
            return int(connection.execute(select(func.count()).select_from(table).where(before)).scalar_one())

    def jobs_of_task(self, task: PushedTask) -> list[PushedJob]:
        """Return the jobs of a task as a push left them, by frame; none in ledgers of earlier versions."""
        return self._jobs(_of_task(t.push_jobs, task))

    def keep_job(self, job: PushedJob) -> None:
        """Record a job as it was left, in place of what was recorded of it."""
        with self._begin() as connection:
            _keep_job(connection, job)

    # --- pictures that several records share ----------------------------------------------------

    def aliases_of_push(self, push_id: str) -> list[PushedAlias]:
        """Return the records of a push whose picture is the frame of another record, by record."""
        table = t.push_aliases
        query = select(table).where(table.c.push_id == push_id).order_by(table.c.record_id)
        with self._begin() as connection:
            rows = connection.execute(query).mappings()
            return [PushedAlias(row["record_id"], row["ordinal"], row["frame"]) for row in rows]

    def record_aliases(
        self, push_id: str, run_id: str, aliases: Iterable[tuple[PushedAlias, Mapping[str, object]]]
    ) -> None:
        """Record that records have the picture of a frame; each with what its event says."""
        table = t.push_aliases
        with self._begin() as connection:
            for alias, detail in aliases:
                same = and_(table.c.push_id == push_id, table.c.record_id == alias.record_id)
                row = connection.execute(select(table).where(same)).mappings().first()
                if row is not None and (row["ordinal"], row["frame"]) == (alias.ordinal, alias.frame):
                    continue
                connection.execute(delete(table).where(same))
                connection.execute(insert(table).values(push_id=push_id, **columns_of(alias)))
                add_event(connection, "same picture", run_id, alias.record_id, detail)

    # --- replacements ---------------------------------------------------------------------------

    def stage_replacement(
        self, job: PushedJob, replacement: Replacement, shapes: Sequence[PushedShape]
    ) -> None:
        """Record the new proposals of a frame; they count once the job is ``replacing``."""
        task = _task_of(job)
        table = t.push_replacements
        same = and_(_of_task(table, task), table.c.frame == replacement.frame)
        with self._begin() as connection:
            connection.execute(delete(table).where(same))
            values = {"push_id": job.push_id, "ordinal": job.ordinal, "job_id": job.job_id}
            connection.execute(insert(table).values(**values, **columns_of(replacement)))
            _keep(connection, t.replacement_shapes, task, {replacement.frame: shapes})

    def replacements_of_job(self, job: PushedJob) -> list[Replacement]:
        """Return the frames of a job whose proposals are being replaced, by frame."""
        table = t.push_replacements
        query = (
            select(table)
            .where(_of_task(table, _task_of(job)), table.c.job_id == job.job_id)
            .order_by(table.c.frame)
        )
        with self._begin() as connection:
            rows = connection.execute(query).mappings()
            return [Replacement(row["frame"], row["prediction_hash"], row["units"]) for row in rows]

    def replacement_shapes(self, job: PushedJob, frame: int) -> list[PushedShape]:
        """Return the new shapes of a frame, in their order."""
        return self._shapes(t.replacement_shapes, _task_of(job), frame)

    def end_replacing(
        self,
        job: PushedJob,
        run_id: str,
        replaced: Sequence[Replacement] = (),
        detail: Mapping[str, object] | None = None,
        silent: frozenset[int] = frozenset(),
    ) -> None:
        """Make the new proposals of a job the ones that were left there, and drop what was intended.

        Args:
            job: as it is left now.
            run_id: of the run that replaced them.
            replaced: frames that got their new proposals; those of the other frames are dropped.
            detail: what the event of each record says besides its frame.
            silent: frames of which there is nothing to tell.
        """
        task = _task_of(job)
        frames = t.push_frames
        with self._begin() as connection:
            for one in replaced:
                rows = self._rows(connection, t.replacement_shapes, task, one.frame)
                _keep(connection, t.push_shapes, task, {one.frame: rows})
                here = and_(_of_task(frames, task), frames.c.frame == one.frame)
                connection.execute(
                    update(frames)
                    .where(here)
                    .values(prediction_hash=one.prediction_hash, units=one.units, shapes=len(rows))
                )
                if one.frame in silent:
                    continue
                record_id = connection.execute(select(frames.c.record_id).where(here)).scalar_one()
                told = {**(detail or {}), "frame": one.frame, "shapes": len(rows)}
                add_event(connection, "replaced", run_id, record_id, told)
            _drop_staged(connection, job)
            _keep_job(connection, job)

    # --- rows -----------------------------------------------------------------------------------

    def _jobs(self, condition: Any) -> list[PushedJob]:
        table = t.push_jobs
        query = select(table).where(condition).order_by(table.c.ordinal, table.c.start_frame, table.c.job_id)
        with self._begin() as connection:
            return [PushedJob(**dict(row)) for row in connection.execute(query).mappings()]

    def _shapes(self, table: Any, task: PushedTask, frame: int) -> list[PushedShape]:
        with self._begin() as connection:
            return self._rows(connection, table, task, frame)

    @staticmethod
    def _rows(connection: Connection, table: Any, task: PushedTask, frame: int) -> list[PushedShape]:
        query = select(table).where(_of_task(table, task), table.c.frame == frame).order_by(table.c.position)
        names = PushedShape.__dataclass_fields__
        return [PushedShape(**{n: row[n] for n in names}) for row in connection.execute(query).mappings()]


def _keep(
    connection: Connection, table: Any, task: PushedTask, shapes: Mapping[int, Sequence[PushedShape]]
) -> None:
    for frame, listed in shapes.items():
        connection.execute(delete(table).where(_of_task(table, task), table.c.frame == frame))
        if listed:
            rows = [{"push_id": task.push_id, "ordinal": task.ordinal, **columns_of(s)} for s in listed]
            connection.execute(insert(table), rows)


def _keep_job(connection: Connection, job: PushedJob) -> None:
    table = t.push_jobs
    connection.execute(delete(table).where(_of_task(table, _task_of(job)), table.c.job_id == job.job_id))
    connection.execute(insert(table).values(**columns_of(job)))


def _drop_staged(connection: Connection, job: PushedJob) -> None:
    task = _task_of(job)
    table, shapes = t.push_replacements, t.replacement_shapes
    own = and_(_of_task(table, task), table.c.job_id == job.job_id)
    for frame in connection.execute(select(table.c.frame).where(own)).scalars().all():
        connection.execute(delete(shapes).where(_of_task(shapes, task), shapes.c.frame == frame))
    connection.execute(delete(table).where(own))


def _task_of(job: PushedJob) -> PushedTask:
    return PushedTask(job.push_id, job.ordinal, "", "", "done", None, None)


def _of_task(table: Any, task: PushedTask) -> Any:
    return and_(table.c.push_id == task.push_id, table.c.ordinal == task.ordinal)
