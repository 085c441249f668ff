"""Loops: who works on one now, and whom its hooks have told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, insert, select, update

from agir_cvtoolkit.errors import UsageError

from . import _round_tables as r
from ._part import LedgerPart, now
from ._round_rows import LoopRow, RoundEvent
from ._rounds import add_round_event


class Loops(LedgerPart):
    """Loops, their leases and their events."""

    def loops(self) -> list[LoopRow]:
        """Return all loops, the oldest first."""
        table = r.loops
        with self._begin() as connection:
            return [
                _loop(row)
                for row in connection.execute(
                    select(table).order_by(table.c.created, table.c.name)
                ).mappings()
            ]

    def loop(self, name: str) -> LoopRow | None:
        """Return a loop, None where there is none of that name."""
        return next((row for row in self.loops() if row.name == name), None)

    def take_loop(
        self, name: str, kind: str, plan: Mapping[str, object], owner: str, until: datetime
    ) -> LoopRow:
        """Take a loop until a time, making it when it is new; its plan is kept as it was first.

        Whoever had it as `owner` before has it again.

        Raises:
            UsageError: somebody else has it, or it is of another kind.
        """
        table = r.loops
        lease = {"owner": owner, "lease_until": _text(until)}
        with self._begin() as connection:
            row = (
                connection.execute(select(table).where(table.c.name == name).with_for_update())
                .mappings()
                .first()
            )
            if row is None:
                connection.execute(
                    insert(table).values(
                        name=name,
                        kind=kind,
                        plan=json.dumps(dict(plan), default=str),
                        created=now(),
                        **lease,
                    )
                )
            else:
                found = _loop(row)
                if found.kind != kind:
                    raise UsageError(
                        f"loop {name} is about {found.kind}, not {kind}", "Give this one another name."
                    )
                held = found.lease_until is not None and found.lease_until > _text(datetime.now(UTC))
                if held and found.owner != owner:
                    raise UsageError(
                        f"loop {name} is held by {found.owner} until {found.lease_until}",
                        "Wait until it has ended; a lease of a machine that is gone runs out by itself.",
                    )
                connection.execute(update(table).where(table.c.name == name).values(ended=None, **lease))
            return _loop(connection.execute(select(table).where(table.c.name == name)).mappings().one())

    def keep_loop(self, name: str, owner: str, until: datetime) -> bool:
        """Lengthen the lease of a loop; False where it is somebody else's."""
        table = r.loops
        mine = and_(table.c.name == name, table.c.owner == owner)
        with self._begin() as connection:
            changed = connection.execute(update(table).where(mine).values(lease_until=_text(until)))
            return bool(changed.rowcount)

    def plan_loop(self, name: str, owner: str, plan: Mapping[str, object]) -> None:
        """Keep what a loop works with from now on; nothing where it is somebody else's."""
        table = r.loops
        mine = and_(table.c.name == name, table.c.owner == owner)
        with self._begin() as connection:
            connection.execute(update(table).where(mine).values(plan=json.dumps(dict(plan), default=str)))

    def leave_loop(self, name: str, owner: str, ended: str | None) -> None:
        """Give a loop back, with why it is at its end where it is; nothing where it is somebody else's."""
        table = r.loops
        mine = and_(table.c.name == name, table.c.owner == owner)
        with self._begin() as connection:
            connection.execute(update(table).where(mine).values(owner=None, lease_until=None, ended=ended))

    # --- events and hooks -------------------------------------------------------------------------

    def tell_once(
        self, loop: str, number: int, kind: str, detail: Mapping[str, object], channels: tuple[str, ...]
    ) -> None:
        """Record an event of a round that can happen only once; one that is there stays as it is."""
        table = r.round_events
        same = and_(table.c.loop == loop, table.c.number == number, table.c.kind == kind)
        with self._begin() as connection:
            if connection.execute(select(table.c.id).where(same)).first() is None:
                add_round_event(connection, loop, number, kind, detail, channels=channels)

    def round_events(self, loop: str) -> list[RoundEvent]:
        """Return what happened in the rounds of a loop, in order."""
        return self._events(r.round_events.c.loop == loop)

    def untold_events(self, loop: str) -> list[RoundEvent]:
        """Return the events of a loop of which a hook has not been told, in order."""
        return [event for event in self.round_events(loop) if event.pending]

    def _events(self, condition: Any) -> list[RoundEvent]:
        table, told = r.round_events, r.round_deliveries
        with self._begin() as connection:
            rows = list(connection.execute(select(table).where(condition).order_by(table.c.id)).mappings())
            open_ones: dict[int, list[str]] = {}
            query = select(told.c.event_id, told.c.channel).join(table, table.c.id == told.c.event_id)
            for event_id, channel in connection.execute(
                query.where(condition, told.c.delivered.is_(None)).order_by(told.c.channel)
            ):
                open_ones.setdefault(event_id, []).append(channel)
        return [
            RoundEvent(
                event_id=row["id"],
                loop=row["loop"],
                number=row["number"],
                kind=row["kind"],
                sequence=row["sequence"],
                at=row["at"],
                detail=json.loads(row["detail"]),
                pending=tuple(open_ones.get(row["id"], ())),
            )
            for row in rows
        ]

    def record_delivery(self, event_id: int, channel: str, outcome: str, *, delivered: bool) -> None:
        """Record that a hook was told of an event, or that it could not be."""
        table = r.round_deliveries
        same = and_(table.c.event_id == event_id, table.c.channel == channel)
        values = {"attempts": table.c.attempts + 1, "outcome": outcome}
        with self._begin() as connection:
            connection.execute(
                update(table).where(same).values(delivered=now() if delivered else None, **values)
            )


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def _loop(row: Any) -> LoopRow:
    return LoopRow(**(dict(row) | {"plan": json.loads(row["plan"])}))
