"""Where what the ledger names lies: a ledger on a server knows the runs of many machines, each only its own folders."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, insert, select

from . import _tables as t


@dataclass(frozen=True)
class Workspace:
    """A folder on a machine.

    Attributes:
        host: name of the machine.
        folder: of all runs, absolute; of a model the one that its file is in.
    """

    host: str
    folder: str

    @classmethod
    def here(cls, out_root: Path) -> Workspace:
        """Return this machine's."""
        return cls(socket.gethostname(), str(out_root.resolve()))


def note_place(connection: Connection, run_id: str, here: Workspace) -> None:
    """Record that a run has files in a workspace, unless that is known."""
    table = t.run_places
    same = (table.c.run_id == run_id, table.c.host == here.host, table.c.folder == here.folder)
    if connection.execute(select(table.c.run_id).where(*same)).first() is None:
        values = {"run_id": run_id, "host": here.host, "folder": here.folder}
        connection.execute(insert(table).values(values))


def places_of_runs(connection: Connection) -> dict[str, tuple[Workspace, ...]]:
    """Return where each run has files; of what an earlier version recorded that is not known."""
    table = t.run_places
    found: dict[str, tuple[Workspace, ...]] = {}
    for row in connection.execute(select(table).order_by(table.c.host, table.c.folder)):
        found[row.run_id] = (*found.get(row.run_id, ()), Workspace(row.host, row.folder))
    return found
