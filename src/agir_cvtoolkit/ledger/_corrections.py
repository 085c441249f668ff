"""Corrections: what became of each proposal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, select

from . import _tables as t
from ._part import LedgerPart, add_event, columns_of, now
from ._pull_rows import CorrectionRow
from ._push_rows import PushedShape, PushedTask

_JOBS_AT_ONCE = 100
_NAMES = tuple(CorrectionRow.__dataclass_fields__)


class Corrections(LedgerPart):
    """What people did with proposals."""

    def shapes_left(self, task: PushedTask, first: int, last: int) -> dict[int, list[PushedShape]]:
        """Return what a push left on its frames from `first` to `last` (inclusive), in its order.

        A frame on which it left nothing has an empty list; one that is not of the push is not listed.
        """
        frames, shapes = t.push_frames, t.push_shapes
        found: dict[int, list[PushedShape]] = {}
        with self._begin() as connection:
            for frame in connection.execute(
                select(frames.c.frame).where(_within(frames, task, first, last))
            ).scalars():
                found[frame] = []
            query = select(shapes).where(_within(shapes, task, first, last))
            for row in connection.execute(query.order_by(shapes.c.frame, shapes.c.position)).mappings():
                names = PushedShape.__dataclass_fields__
                found.setdefault(row["frame"], []).append(PushedShape(**{n: row[n] for n in names}))
        return found

    def record_corrections(
        self, server: str, run_id: str, job_id: int, rows: Sequence[CorrectionRow]
    ) -> None:
        """Record what became of the proposals of a job; what an earlier reading of it said is replaced.

        A record of which something else is said than before gets an event; the same rows again change nothing.
        """
        table = t.corrections
        same = and_(table.c.server == server, table.c.run_id == run_id, table.c.job_id == job_id)
        with self._begin() as connection:
            known = _rows(connection, same)
            if known == list(rows):
                return
            connection.execute(delete(table).where(same))
            if rows:
                at = now()
                connection.execute(insert(table), [columns_of(row) | {"created": at} for row in rows])
            before, after = _by_record(known), _by_record(rows)
            for record_id, found in after.items():
                if _told(found) != _told(before.get(record_id, [])):
                    add_event(connection, "corrected", run_id, record_id, _detail(found))

    def corrections_of_run(self, run_id: str, server: str) -> Iterator[CorrectionRow]:
        """Yield all corrections that a run pulled from a server, by task, job and frame.

        They are read some jobs at a time; do not record any meanwhile.
        """
        table = t.corrections
        own = and_(table.c.server == server, table.c.run_id == run_id)
        jobs = select(table.c.job_id).where(own).group_by(table.c.job_id)
        with self._begin() as connection:
            ordered = jobs.order_by(func.min(table.c.task_id), table.c.job_id)
            ids = connection.execute(ordered).scalars().all()
        for at in range(0, len(ids), _JOBS_AT_ONCE):
            with self._begin() as connection:
                rows = _rows(connection, and_(own, table.c.job_id.in_(ids[at : at + _JOBS_AT_ONCE])))
            yield from rows

    def state_of_corrections(self, run_id: str, server: str) -> tuple[object, ...]:
        """Return what differs once anything else is recorded about the corrections that a run pulled."""
        table = t.corrections
        query = select(func.count(), func.max(table.c.id), func.sum(table.c.id), func.max(table.c.created))
        with self._begin() as connection:
            own = and_(table.c.server == server, table.c.run_id == run_id)
            return tuple(connection.execute(query.where(own)).one())


def _rows(connection: Connection, condition: Any) -> list[CorrectionRow]:
    table = t.corrections
    order = (table.c.task_id, table.c.job_id, table.c.frame, table.c.id)
    rows = connection.execute(select(table).where(condition).order_by(*order)).mappings()
    return [CorrectionRow(**{name: row[name] for name in _NAMES}) for row in rows]


def _within(table: Any, task: PushedTask, first: int, last: int) -> Any:
    of_task = and_(table.c.push_id == task.push_id, table.c.ordinal == task.ordinal)
    return and_(of_task, table.c.frame >= first, table.c.frame <= last)


def _by_record(rows: Sequence[CorrectionRow]) -> dict[str, list[CorrectionRow]]:
    found: dict[str, list[CorrectionRow]] = {}
    for row in rows:
        found.setdefault(row.record_id, []).append(row)
    return found


def _told(rows: Sequence[CorrectionRow]) -> list[tuple[object, ...]]:
    """Return what rows say; the job's date moves on without anybody touching a shape."""
    left_out = {"updated_date", "annotator"}
    return [tuple(getattr(row, name) for name in _NAMES if name not in left_out) for row in rows]


def _detail(rows: Sequence[CorrectionRow]) -> dict[str, object]:
    counts = Counter(row.outcome for row in rows)
    overlaps = [row.iou for row in rows if row.is_redrawn and row.iou is not None]
    moved = sum(row.moved_points or 0 for row in rows)
    detail: dict[str, object] = {
        "task": rows[0].task_id,
        "job": rows[0].job_id,
        **dict(sorted(counts.items())),
    }
    if overlaps:
        detail["iou"] = round(sum(overlaps) / len(overlaps), 4)
    if moved:
        detail["moved_points"] = moved
    if rows[0].annotator is not None:
        detail["annotator"] = rows[0].annotator
    return detail
