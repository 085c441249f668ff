"""The whole workspace at a glance: added up by the database, so that a hundred thousand records are quick."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import case, func, select

from . import _round_tables as r
from . import _tables as t
from ._part import LedgerPart


class PredictedRecord(NamedTuple):
    """A record as a run predicted it last.

    Attributes:
        mask_path: relative to the run's folder.
    """

    run_id: str
    record_id: str
    sha256: str
    model: str
    uncertainty: float
    mask_path: str | None


class SentRecord(NamedTuple):
    """A record that lies in a task."""

    run_id: str
    record_id: str
    server: str
    task_id: int | None


class RecordOutcome(NamedTuple):
    """What one person did with the shapes of one class and outcome on one record.

    Attributes:
        outcome: see `CorrectionRow`; ``empty`` where there was nothing to do.
        label: of the proposals; of added shapes their own.
        shapes: how many.
        agreement: summed over them: 1 for an accepted one, of an edited one its overlap (IoU) with the proposal, 0 for
            one that was deleted or added, or of which no overlap is known.
    """

    run_id: str
    record_id: str
    task_id: int
    outcome: str
    label: str
    annotator: str | None
    shapes: int
    agreement: float


class FinishedJob(NamedTuple):
    """A job that was read when it was done.

    Attributes:
        frames: pictures in it.
        left: when its push had written it, as the server told; None where this tool did not make it.
        updated: when it was changed last before it was read.
        worked: seconds that people were at work on it as it is, by the server's event log; None where that does not say.
        is_simulated: no person did it, by that log.
    """

    run_id: str
    server: str
    job_id: int
    frames: int
    annotator: str | None
    left: str | None
    updated: str
    worked: float | None = None
    is_simulated: bool = False


class Overview(LedgerPart):
    """Rows for reports."""

    def predicted_records(self) -> list[PredictedRecord]:
        """Return every record of every run with its newest prediction."""
        table = t.predictions
        names = ("run_id", "record_id", "image_sha256", "model", "uncertainty", "mask_path")
        query = select(*(table.c[name] for name in names)).order_by(table.c.id)
        with self._begin() as connection:
            newest = {(row[0], row[1]): row for row in connection.execute(query)}
        return [PredictedRecord(*row) for row in newest.values()]

    def sent_records(self) -> list[SentRecord]:
        """Return every record that lies in a task, with the run that pushed it."""
        frames, tasks, pushes = t.push_frames, t.push_tasks, t.pushes
        query = (
            select(tasks.c.run_id, frames.c.record_id, pushes.c.server, tasks.c.task_id)
            .join(tasks, (tasks.c.push_id == frames.c.push_id) & (tasks.c.ordinal == frames.c.ordinal))
            .join(pushes, pushes.c.push_id == frames.c.push_id)
        )
        with self._begin() as connection:
            return [SentRecord(*row) for row in connection.execute(query)]

    def record_outcomes(self) -> list[RecordOutcome]:
        """Return what became of the proposals, added up by record, class, outcome and person."""
        table = t.corrections
        label = func.coalesce(table.c.label_before, table.c.label)
        agrees = case(
            (table.c.outcome.in_(("accepted", "empty")), 1.0),
            (table.c.outcome.in_(("edited", "relabelled")), func.coalesce(table.c.iou, 0.0)),
            else_=0.0,
        )
        by = (table.c.run_id, table.c.record_id, table.c.task_id, table.c.outcome, label, table.c.annotator)
        query = select(*by, func.count(), func.sum(agrees)).group_by(*by)
        with self._begin() as connection:
            return [RecordOutcome(*row) for row in connection.execute(query)]

    def finished_jobs(self) -> list[FinishedJob]:
        """Return the newest reading of every job, by the time at which it was changed last."""
        table, left = t.pulls, t.push_jobs
        tasks, pushes = t.push_tasks, t.pushes
        of_task = (tasks.c.push_id == left.c.push_id) & (tasks.c.ordinal == left.c.ordinal)
        written = select(pushes.c.server, left.c.job_id, left.c.updated_date).join(tasks, of_task)
        with self._begin() as connection:
            known = {
                (row[0], row[1]): row[2] or None
                for row in connection.execute(written.join(pushes, pushes.c.push_id == left.c.push_id))
            }
            query = select(table).order_by(table.c.id)
            newest = {(row.server, row.job_id): row for row in connection.execute(query)}
            told = {
                (row.server, row.job_id, row.updated_date): (row.seconds, row.is_simulated)
                for row in connection.execute(select(t.job_work))
            }
        found = [
            FinishedJob(
                row.run_id,
                row.server,
                row.job_id,
                row.frames,
                row.assignee,
                known.get(key),
                row.updated_date,
                *told.get((*key, row.updated_date), (None, False)),
            )
            for key, row in newest.items()
        ]
        return sorted(found, key=lambda job: job.updated)

    def newest_change(self) -> tuple[object, ...]:
        """Return what differs once anything is recorded that a report shows."""
        tables = (t.events, t.predictions, t.corrections, t.pulls, r.round_events)
        with self._begin() as connection:
            ids = [connection.execute(select(func.max(table.c.id))).scalar() for table in tables]
            champions = select(func.max(t.models.c.champion_since), func.max(t.models.c.created))
            looked = connection.execute(select(func.max(t.job_work.c.looked))).scalar()
            return (*ids, looked, *connection.execute(champions).one())
