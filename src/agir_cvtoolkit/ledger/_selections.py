"""What was chosen for the annotators, and what of it is under way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, func, insert, select

from . import _tables as t
from ._part import LedgerPart, add_events, columns_of, now
from ._selection_table import selections

_AT_ONCE = 500


@dataclass(frozen=True)
class SelectionRow:
    """One unit that was chosen.

    Attributes:
        batch: number of the batch in its run, from 1.
        unit_id: the record id, or that of a region.
        region: ``left,top,widthxheight``; None for a whole picture.
        control: drawn at random.
        rank: place in the order of choice, from 1.
        rule: why it was chosen, in words.
        model: that predicted it.
        chosen_at: when; set by the ledger.
    """

    run_id: str
    batch: int
    unit_id: str
    record_id: str
    region: str | None
    control: bool
    rank: int
    score: float | None
    strategy: str
    rule: str
    seed: int
    model: str
    chosen_at: str = ""


@dataclass(frozen=True)
class UnderWay:
    """What is labelled or on its way to people, or came back from them.

    Attributes:
        units: ids of records and of regions.
        contents: SHA-256 of their pictures, as far as they are known.
    """

    units: frozenset[str]
    contents: frozenset[str]


class Selections(LedgerPart):
    """What was chosen."""

    def record_selection(self, run_id: str, batch: int, rows: Sequence[SelectionRow]) -> None:
        """Record a batch; what it said before, and earlier batches of the run of which nothing was sent, go."""
        table, at = selections, now()
        with self._begin() as connection:
            sent = _sent(connection)
            known = {
                (row.batch, row.unit_id)
                for row in connection.execute(
                    select(table.c.batch, table.c.unit_id).where(table.c.run_id == run_id)
                )
            }
            wanted = {(row.batch, row.unit_id) for row in rows}
            gone = {key for key in known if key[0] == batch or key[1] not in sent} - wanted
            for number, unit_id in sorted(gone):
                own = and_(table.c.run_id == run_id, table.c.batch == number, table.c.unit_id == unit_id)
                connection.execute(delete(table).where(own))
            new = [row for row in rows if (row.batch, row.unit_id) not in known]
            if new:
                connection.execute(insert(table), [columns_of(row) | {"chosen_at": at} for row in new])
                add_events(connection, "selected", run_id, ((row.unit_id, _detail(row)) for row in new))

    def selections(self, run_id: str | None = None) -> list[SelectionRow]:
        """Return what was chosen, of one run or of all, by run, batch and rank."""
        table = selections
        query = select(table).order_by(table.c.run_id, table.c.batch, table.c.rank)
        if run_id is not None:
            query = query.where(table.c.run_id == run_id)
        with self._begin() as connection:
            return [SelectionRow(**dict(row)) for row in connection.execute(query).mappings()]

    def under_way(self) -> UnderWay:
        """Return what is labelled or in a task, of all runs."""
        frames = t.push_frames
        with self._begin() as connection:
            units = _sent(connection)
            events = connection.execute(
                select(t.events.c.record_id).where(t.events.c.kind == "pulled").distinct()
            )
            units |= {str(name) for name in events.scalars() if name is not None}
            contents = {str(one) for one in connection.execute(select(frames.c.sha256).distinct()).scalars()}
        return UnderWay(frozenset(units), frozenset(contents - {""}))

    def outcomes_by_label(self) -> Mapping[str, Mapping[str, int]]:
        """Return how often each outcome of correcting was met, by label as people know it."""
        table = t.corrections
        label = func.coalesce(table.c.label_before, table.c.label)
        query = select(label.label("of"), table.c.outcome, func.count().label("times"))
        found: dict[str, dict[str, int]] = {}
        with self._begin() as connection:
            for row in connection.execute(query.group_by(label, table.c.outcome)):
                if row.of:
                    found.setdefault(str(row.of), {})[str(row.outcome)] = int(row.times)
        return found

    def records_by_label(self) -> Mapping[str, int]:
        """Return how many records people have left each label in."""
        table = t.corrections
        query = (
            select(table.c.label, func.count(table.c.record_id.distinct()).label("records"))
            .where(and_(table.c.outcome != "deleted", table.c.label != ""))
            .group_by(table.c.label)
        )
        with self._begin() as connection:
            return {str(row.label): int(row.records) for row in connection.execute(query)}

    def batches_of(self, unit_id: str) -> frozenset[tuple[str, int]]:
        """Return run and number of the batches that hold a unit: none that another replaced before it was sent."""
        table = selections
        query = select(table.c.run_id, table.c.batch).where(table.c.unit_id == unit_id)
        with self._begin() as connection:
            return frozenset((str(row.run_id), int(row.batch)) for row in connection.execute(query))

    def regions_of_record(self, record_id: str) -> list[str]:
        """Return the unit ids of the regions of a record that were ever chosen."""
        table = selections
        of_record = and_(table.c.record_id == record_id, table.c.unit_id != record_id)
        query = select(table.c.unit_id).where(of_record).distinct().order_by(table.c.unit_id)
        with self._begin() as connection:
            return [str(name) for name in connection.execute(query).scalars()]

    def pictures_of(self, unit_ids: Sequence[str]) -> Mapping[str, tuple[str, str]]:
        """Return of each record the newest run that predicted it and the SHA-256 of its picture."""
        table = t.predictions
        found: dict[str, tuple[str, str]] = {}
        with self._begin() as connection:
            for start in range(0, len(unit_ids), _AT_ONCE):
                some = table.c.record_id.in_(unit_ids[start : start + _AT_ONCE])
                for row in connection.execute(select(table).where(some).order_by(table.c.id)).mappings():
                    found[row["record_id"]] = (row["run_id"], row["image_sha256"])
        return found


def _sent(connection: Connection) -> set[str]:
    found: set[str] = set()
    for table in (t.push_frames, t.push_aliases):
        found |= {str(name) for name in connection.execute(select(table.c.record_id).distinct()).scalars()}
    return found


def _detail(row: SelectionRow) -> dict[str, object]:
    detail: dict[str, object] = {
        "batch": row.batch,
        "rank": row.rank,
        "rule": row.rule,
        "strategy": row.strategy,
        "seed": row.seed,
    }
    if row.score is not None:
        # Scores are of 32 bits: rounded at once, .15245 would become .1524 beside the .1525 of the prediction.
        detail["score"] = round(round(row.score, 6), 4)
    if row.region is not None:
        detail["region_of"] = row.record_id
    return detail
