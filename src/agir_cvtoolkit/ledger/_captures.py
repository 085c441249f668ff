"""Captures of devices in the ledger: that they were transferred, and that they are to be forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, delete, or_, select, update

from . import _tables as t
from ._part import LedgerPart, add_event, add_events
from ._selection_table import selections

TRANSFERRED = "transferred"
RETURNED = "returned"
LOOKED_AT = "looked_at"
_AT_ONCE = 500


@dataclass(frozen=True)
class RecordInTask:
    """Where a record is in CVAT.

    Attributes:
        url: of the task.
        run_id: of the run that made the task.
        frame: of the record in it.
    """

    server: str
    organization: str | None
    push_id: str
    ordinal: int
    task_id: int | None
    url: str | None
    run_id: str
    frame: int


class Captures(LedgerPart):
    """What is known of captures beyond predictions and pushes."""

    def record_transfers(self, run_id: str, details: Mapping[str, Mapping[str, object]]) -> None:
        """Record that captures were transferred in a run, by record id; those known already are left alone."""
        table = t.events
        same = and_(table.c.run_id == run_id, table.c.kind == TRANSFERRED)
        with self._begin() as connection:
            known = set(connection.execute(select(table.c.record_id).where(same)).scalars())
            add_events(
                connection, TRANSFERRED, run_id, ((i, d) for i, d in details.items() if i not in known)
            )

    def record_looks(self, run_id: str, details: Mapping[str, Mapping[str, object]]) -> None:
        """Record that captures were looked at and not chosen, by record id; what is known word by word is left alone.

        Args:
            run_id: of the run in which they were looked at.
            details: with the id of the ``capture``, the ``place`` of its store, and the ``rule`` that left it out.
        """
        table = t.events
        same = and_(table.c.run_id == run_id, table.c.kind == LOOKED_AT)
        with self._begin() as connection:
            rows = connection.execute(select(table.c.record_id, table.c.detail).where(same))
            known = {(row.record_id, row.detail) for row in rows}
            new = [(i, d) for i, d in details.items() if (i, json.dumps(d, default=str)) not in known]
            add_events(connection, LOOKED_AT, run_id, new)

    def looked_at(self, place: str | None = None) -> Mapping[str, Mapping[str, Any]]:
        """Return the captures that were looked at and not transferred since, each with what was said of it last.

        Args:
            place: of their store; None is any.
        """
        table = t.events
        query = select(table.c.kind, table.c.detail).where(table.c.kind.in_((LOOKED_AT, TRANSFERRED)))
        found: dict[str, Mapping[str, Any]] = {}
        with self._begin() as connection:
            for row in connection.execute(query.order_by(table.c.id)):
                detail = json.loads(row.detail)
                if place is not None and detail.get("place") != place:
                    continue
                found.pop(str(detail.get("capture")), None)
                if row.kind == LOOKED_AT:
                    found[str(detail["capture"])] = detail
        return found

    def record_returns(self, details: Iterable[tuple[str, Mapping[str, object]]]) -> None:
        """Record that corrections came back, each with its record id; what is known word by word is left alone."""
        table = t.events
        given = [(record_id, json.dumps(detail, default=str), detail) for record_id, detail in details]
        ids = list(dict.fromkeys(record_id for record_id, _, _ in given))
        with self._begin() as connection:
            known: set[tuple[str, str]] = set()
            for start in range(0, len(ids), _AT_ONCE):
                same = and_(table.c.record_id.in_(ids[start : start + _AT_ONCE]), table.c.kind == RETURNED)
                rows = connection.execute(select(table.c.record_id, table.c.detail).where(same))
                known |= {(row.record_id, row.detail) for row in rows}
            add_events(
                connection,
                RETURNED,
                None,
                ((i, detail) for i, text, detail in given if (i, text) not in known),
            )

    def frames_of_record(self, record_id: str) -> list[RecordInTask]:
        """Return the frames of CVAT tasks that show a record, as its own or as another's."""
        found = []
        with self._begin() as connection:
            for table in (t.push_frames, t.push_aliases):
                same_task = and_(
                    t.push_tasks.c.push_id == table.c.push_id, t.push_tasks.c.ordinal == table.c.ordinal
                )
                query = (
                    select(
                        t.pushes.c.server,
                        t.pushes.c.organization,
                        table.c.push_id,
                        table.c.ordinal,
                        t.push_tasks.c.task_id,
                        t.push_tasks.c.url,
                        t.push_tasks.c.run_id,
                        table.c.frame,
                    )
                    .join(t.push_tasks, same_task)
                    .join(t.pushes, t.pushes.c.push_id == table.c.push_id)
                    .where(table.c.record_id == record_id)
                )
                found += [RecordInTask(**dict(row)) for row in connection.execute(query).mappings()]
        return found

    def forget_record(self, record_id: str, stand_in: str) -> int:
        """Remove what the ledger knows of a record, and return how many rows that were.

        Frames of tasks keep their place under a stand-in, since the numbers of the other frames hang on it; shapes,
        corrections, predictions, its place in data sets and the whole history go.

        Args:
            record_id: of the record.
            stand_in: that its frames have from now on.
        """
        gone = 0
        with self._begin() as connection:
            hashes = set(
                connection.execute(
                    select(t.predictions.c.image_sha256).where(t.predictions.c.record_id == record_id)
                ).scalars()
            )
            learned = t.dataset_members
            of_record = select(learned.c.sha256).where(learned.c.record_id == record_id)
            hashes |= set(connection.execute(of_record).scalars())
            for frame in list(self._frames_of(connection, record_id)):
                for table in (t.push_shapes, t.replacement_shapes, t.push_replacements):
                    gone += connection.execute(delete(table).where(_same_frame(table, frame))).rowcount
                changed = {"record_id": stand_in, "prediction_hash": "", "sha256": ""}
                connection.execute(
                    update(t.push_frames).where(_same_frame(t.push_frames, frame)).values(**changed)
                )
                gone += 1
            for table in (t.predictions, t.corrections, t.events, t.push_aliases, learned, selections):
                gone += connection.execute(delete(table).where(table.c.record_id == record_id)).rowcount
            for digest in hashes:
                used = or_(
                    select(t.predictions.c.id).where(t.predictions.c.image_sha256 == digest).exists(),
                    select(t.push_frames.c.frame).where(t.push_frames.c.sha256 == digest).exists(),
                    select(learned.c.version).where(learned.c.sha256 == digest).exists(),
                )
                for table, column in (
                    (t.images, t.images.c.sha256),
                    (t.test_members, t.test_members.c.member),
                ):
                    gone += connection.execute(delete(table).where(and_(column == digest, ~used))).rowcount
            if gone:
                add_event(connection, "forgotten", None, None, {"rows": gone, "as": stand_in})
        return gone

    @staticmethod
    def _frames_of(connection: Connection, record_id: str) -> Iterator[Any]:
        table = t.push_frames
        yield from connection.execute(
            select(table.c.push_id, table.c.ordinal, table.c.frame).where(table.c.record_id == record_id)
        ).all()


def _same_frame(table: Any, frame: Any) -> Any:
    return and_(
        table.c.push_id == frame.push_id, table.c.ordinal == frame.ordinal, table.c.frame == frame.frame
    )
