"""Rounds: where each stands. A state changes in the transaction of the fact that it stands for."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, update

from agir_cvtoolkit.errors import LedgerError, UsageError

from . import _round_tables as r
from . import _tables as t
from ._part import LedgerPart, now
from ._round_rows import RoundRow
from ._round_states import FAILED, RoundState, before, may_follow
from ._selection_table import selections

_OF_THE_MODEL = frozenset({"trained", "evaluated", "promoted"})


class Rounds(LedgerPart):
    """Rounds of loops."""

    def rounds(self, loop: str) -> list[RoundRow]:
        """Return the rounds of a loop in order."""
        table = r.rounds
        with self._begin() as connection:
            rows = connection.execute(select(table).where(table.c.loop == loop).order_by(table.c.number))
            return [_round(row) for row in rows.mappings()]

    def open_round(self, loop: str, owner: str, run_id: str, figures: Mapping[str, object]) -> RoundRow:
        """Open the next round of a loop; one that is open already is returned as it is.

        Raises:
            UsageError: the loop is not `owner`'s any more.
        """
        table = r.rounds
        with self._begin() as connection:
            _check_owner(connection, loop, owner)
            newest = connection.execute(
                select(table).where(table.c.loop == loop).order_by(table.c.number.desc()).limit(1)
            ).mappings()
            found = next((_round(row) for row in newest), None)
            if found is not None and not found.is_ended:
                return found
            number = found.number + 1 if found is not None else 1
            at = now()
            values = {
                "loop": loop,
                "number": number,
                "state": "opened",
                "run_id": run_id,
                "training_run": run_id,
                "opened": at,
                "changed": at,
                "figures": json.dumps(dict(figures), default=str),
            }
            connection.execute(insert(table).values(**values))
            add_round_event(connection, loop, number, "state", {"to": "opened", "run": run_id})
            return _read(connection, loop, number)

    def move_round(
        self,
        row: RoundRow,
        to: RoundState,
        owner: str,
        *,
        figures: Mapping[str, object] | None = None,
        run_id: str | None = None,
        training_run: str | None = None,
        tell: str | None = None,
        channels: Sequence[str] = (),
    ) -> RoundRow:
        """Bring a round into its next state; one that is there already stays.

        What the state stands for must be in the ledger: the choice, the tasks, the model, its figures, its promotion.

        Args:
            row: of the round; what it says of its state is looked up anew.
            to: the state.
            owner: who has the loop.
            figures: added to those of the round.
            run_id: where its batch lies; None leaves it.
            training_run: where its model will lie; None leaves it.
            tell: kind of the event that hooks are told with it.
            channels: of the hooks.

        Raises:
            UsageError: the loop is not `owner`'s any more.
            LedgerError: the state may not follow, or what it stands for did not happen.
        """
        with self._begin() as connection:
            _check_owner(connection, row.loop, owner)
            found = _read(connection, row.loop, row.number)
            merged = dict(found.figures) | dict(figures or {})
            if found.state != to:
                _check_move(found, to)
                _check_fact(connection, found, to, merged, elsewhere=run_id is not None)
            _write(connection, found, to, merged, run_id, training_run)
            if found.state != to and tell is not None:
                add_round_event(
                    connection, row.loop, row.number, tell, _told(found, to, merged), channels=channels
                )
            return _read(connection, row.loop, row.number)

    def note_round(self, row: RoundRow, owner: str, figures: Mapping[str, object]) -> RoundRow:
        """Add figures to a round.

        Raises:
            UsageError: the loop is not `owner`'s any more.
        """
        with self._begin() as connection:
            _check_owner(connection, row.loop, owner)
            found = _read(connection, row.loop, row.number)
            _write(connection, found, found.state, dict(found.figures) | dict(figures))
            return _read(connection, row.loop, row.number)

    def drop_round(self, row: RoundRow, owner: str) -> None:
        """Take back a round for which nothing was chosen.

        Raises:
            UsageError: the loop is not `owner`'s any more.
            LedgerError: something was chosen.
        """
        table = r.rounds
        same = and_(table.c.loop == row.loop, table.c.number == row.number)
        with self._begin() as connection:
            _check_owner(connection, row.loop, owner)
            found = _read(connection, row.loop, row.number)
            if found.stands != "opened":
                raise LedgerError(f"round {row.number} of loop {row.loop} is {found.state}", "Go on with it.")
            connection.execute(delete(table).where(same))
            events = r.round_events
            connection.execute(
                delete(events).where(
                    events.c.loop == row.loop, events.c.number == row.number, events.c.kind == "state"
                )
            )

    def round_of_run(self, run_id: str) -> RoundRow | None:
        """Return the round whose batch or model lies in a run, None where there is none."""
        table = r.rounds
        same = or_(table.c.run_id == run_id, table.c.training_run == run_id)
        with self._begin() as connection:
            return next(
                (_round(row) for row in connection.execute(select(table).where(same)).mappings()), None
            )


def follow(connection: Connection, run_id: str | None, to: RoundState, figures: Mapping[str, object]) -> None:
    """Bring the round of a run into a state, in the transaction of what the state stands for.

    Nothing happens where there is no such round, or it is not just before that state.

    Args:
        connection: of that transaction.
        run_id: where the round's batch or model lies.
        to: the state.
        figures: added to those of the round.
    """
    if run_id is None:
        return
    table = r.rounds
    lies_in = table.c.training_run if to in _OF_THE_MODEL else table.c.run_id
    there = and_(table.c.state.in_(sorted(before(to))), lies_in == run_id)
    for row in list(connection.execute(select(table).where(there).with_for_update()).mappings()):
        found = _round(row)
        _write(connection, found, to, dict(found.figures) | dict(figures))


def add_round_event(
    connection: Connection,
    loop: str,
    number: int,
    kind: str,
    detail: Mapping[str, object],
    *,
    channels: Collection[str] = (),
) -> None:
    """Record what happened in a round, and who is to be told, in the transaction of the fact."""
    table = r.round_events
    same = and_(table.c.loop == loop, table.c.number == number, table.c.kind == kind)
    known = connection.execute(select(func.count()).where(same)).scalar_one()
    inserted = connection.execute(
        insert(table).values(
            loop=loop,
            number=number,
            kind=kind,
            sequence=known,
            at=now(),
            detail=json.dumps(dict(detail), default=str),
        )
    )
    (event_id,) = inserted.inserted_primary_key or (None,)
    if channels:
        connection.execute(
            insert(r.round_deliveries),
            [{"event_id": event_id, "channel": channel, "attempts": 0} for channel in channels],
        )


def _check_owner(connection: Connection, loop: str, owner: str) -> None:
    table = r.loops
    query = select(table.c.owner).where(table.c.name == loop).with_for_update()
    held = connection.execute(query).scalar_one_or_none()
    if held != owner:
        raise UsageError(
            f"loop {loop} was taken over by {held or 'nobody'}",
            "Nothing is lost: whoever has it goes on. Start this one again when that has ended.",
        )


def _check_move(found: RoundRow, to: RoundState) -> None:
    if not may_follow(found.state, to, found.failed_in):
        raise LedgerError(
            f"round {found.number} of loop {found.loop} is {found.state}, which {to} cannot follow",
            "Look at it with: agir-cvtoolkit status",
        )


def _check_fact(
    connection: Connection, found: RoundRow, to: RoundState, figures: Mapping[str, object], *, elsewhere: bool
) -> None:
    """Refuse a state of which the ledger does not know what it stands for.

    Args:
        connection: of the transaction of the change.
        found: the round as it is.
        to: the state.
        figures: that it will have.
        elsewhere: its batch was chosen in another run, by a queue's priority.
    """
    if found.state == FAILED:
        return  # it goes on where the fact was checked before
    model = t.models
    if to == "selected":
        query = select(selections.c.unit_id).where(selections.c.run_id == found.run_id)
        missing = "" if elsewhere or connection.execute(query).first() else "nothing was chosen"
    elif to == "pushed":
        tasks, runs = t.push_tasks, t.run_tasks
        same = and_(tasks.c.push_id == runs.c.push_id, tasks.c.ordinal == runs.c.ordinal)
        states = connection.execute(
            select(tasks.c.state).join(runs, same).where(runs.c.run_id == found.run_id)
        ).scalars()
        known = set(states)
        missing = "" if known == {"done"} else "its tasks are not all in CVAT"
    elif to == "trained":
        query = select(model.c.version).where(model.c.run_id == found.training_run)
        missing = "" if connection.execute(query).first() else "no model of it is known"
    elif to == "promoted":
        served = model.c.champion_since.is_not(None)
        query = select(model.c.version).where(model.c.run_id == found.training_run, served)
        missing = "" if connection.execute(query).first() else "its model never was the champion"
    elif to == "evaluated":
        missing = "" if "outcome" in figures else "no comparison is known"
    else:
        missing = ""
    if missing:
        raise LedgerError(
            f"round {found.number} of loop {found.loop} cannot be {to}: {missing}",
            "Start the loop again: it goes on where it stopped.",
        )


def _write(
    connection: Connection,
    found: RoundRow,
    to: RoundState,
    figures: Mapping[str, object],
    run_id: str | None = None,
    training_run: str | None = None,
) -> None:
    table = r.rounds
    same = and_(table.c.loop == found.loop, table.c.number == found.number)
    values: dict[str, Any] = {"figures": json.dumps(dict(figures), default=str)}
    values |= {} if run_id is None else {"run_id": run_id}
    values |= {} if training_run is None else {"training_run": training_run}
    if found.state != to:
        failed_in = found.stands if to == FAILED else None
        values |= {"state": to, "changed": now(), "failed_in": failed_in}
        detail: dict[str, object] = {"from": found.state, "to": to}
        if to == FAILED:
            detail["reason"] = str(figures.get("reason", ""))
        add_round_event(connection, found.loop, found.number, "state", detail)
    connection.execute(update(table).where(same).values(**values))


def _told(found: RoundRow, to: RoundState, figures: Mapping[str, object]) -> dict[str, object]:
    """Return what hooks are told of a change."""
    return {
        "loop": found.loop,
        "round": found.number,
        "state": to,
        "run": found.run_id,
        "figures": dict(figures),
    }


def _read(connection: Connection, loop: str, number: int) -> RoundRow:
    table = r.rounds
    same = and_(table.c.loop == loop, table.c.number == number)
    row = connection.execute(select(table).where(same).with_for_update()).mappings().first()
    if row is None:
        raise LedgerError(f"there is no round {number} of loop {loop}", "See: agir-cvtoolkit status")
    return _round(row)


def _round(row: Any) -> RoundRow:
    return RoundRow(**(dict(row) | {"figures": json.loads(row["figures"])}))
