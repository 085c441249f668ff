"""Which side of a frozen split a picture is on: once said, said for ever."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import delete, insert, select

from . import _tables as t
from ._part import LedgerPart, add_event, now

Draw = Callable[[Mapping[str, str]], Mapping[str, str]]
"""From the members that have a side to the sides of new ones."""


class FrozenSplits(LedgerPart):
    """The members of frozen splits."""

    def split_members(self, test_set: str) -> dict[str, str]:
        """Return the side (``test`` or ``train``) of each member of a split."""
        table = t.test_members
        with self._begin() as connection:
            rows = connection.execute(
                select(table.c.member, table.c.side).where(table.c.test_set == test_set)
            )
            return {str(member): str(side) for member, side in rows}

    def grow_split(self, test_set: str, draw: Draw) -> dict[str, str]:
        """Give new members a side; nobody else can meanwhile, and no member ever changes its side.

        Args:
            test_set: name of the split.
            draw: told the sides that are known; returns those of members that have none yet.

        Returns:
            The side of each member.
        """
        table = t.test_members
        with self._begin() as connection:
            rows = connection.execute(
                select(table.c.member, table.c.side).where(table.c.test_set == test_set)
            )
            known = {str(member): str(side) for member, side in rows}
            new = {member: side for member, side in draw(known).items() if member not in known}
            if new:
                values = [
                    {"test_set": test_set, "member": member, "side": side, "since": now()}
                    for member, side in new.items()
                ]
                connection.execute(insert(table), values)
                tested = sum(side == "test" for side in new.values())
                detail = {"split": test_set, "test": tested, "train": len(new) - tested}
                add_event(connection, "split grown", None, None, detail)
            return known | new

    def forget_split_member(self, test_set: str, member: str) -> bool:
        """Remove a member that must be forgotten altogether; whether it was one."""
        table = t.test_members
        with self._begin() as connection:
            gone = connection.execute(
                delete(table).where(table.c.test_set == test_set, table.c.member == member)
            )
            return bool(gone.rowcount)
