"""A loop that is held: by a lock in this workspace, by a lease in the ledger against other machines."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import AgirError, UsageError
from agir_cvtoolkit.ledger import Ledger, LoopRow
from agir_cvtoolkit.runs import try_lock

from ._retrain_lease import owner_of

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings

_log = logging.getLogger("agir_cvtoolkit.stages.loop")


class LoopLease:
    """A loop that was taken.

    Attributes:
        row: of the loop, as it was taken.
        owner: under which name it was.
        ended: why the loop is at its end; set it before the ``with`` block ends.
    """

    def __init__(self, row: LoopRow, owner: str) -> None:
        self.row, self.owner = row, owner
        self.ended: str | None = None


@contextmanager
def hold_loop(settings: Settings, name: str, plan: Mapping[str, object]) -> Iterator[LoopLease]:
    """Hold a loop until the end of the block; its lease is lengthened in the background.

    A killed process lets go of the lock by itself, and its lease is taken up again in the same workspace; another
    machine waits until it has ended.

    Args:
        settings: with the ledger, the workspace and the lease's length.
        name: of the loop.
        plan: of a loop that is new.

    Raises:
        UsageError: another process has it, here or on another machine.
    """
    out_root = settings.io.out_root
    owner, lease = owner_of(out_root), timedelta(seconds=settings.loop.lease_s)
    with try_lock(out_root.parent / f"loop-{name}.lock") as mine:
        if not mine:
            raise UsageError(
                f"loop {name} is already running in {out_root.parent}", "Wait until it has ended, or end it."
            )
        with Ledger.open(settings.io.ledger_url, out_root) as ledger:
            row = ledger.take_loop(name, settings.loop.kind, plan, owner, datetime.now(UTC) + lease)
            held = LoopLease(row, owner)
            stop = threading.Event()
            keeper = threading.Thread(
                target=_keep, args=(ledger, held, lease, stop), name="loop-lease", daemon=True
            )
            keeper.start()
            try:
                yield held
            finally:
                stop.set()
                keeper.join()
                ledger.leave_loop(name, owner, held.ended)


def _keep(ledger: Ledger, held: LoopLease, lease: timedelta, stop: threading.Event) -> None:
    while not stop.wait(lease.total_seconds() / 3):
        try:
            if not ledger.keep_loop(held.row.name, held.owner, datetime.now(UTC) + lease):
                _log.warning("loop %s was taken over by another machine", held.row.name)
                return
        except AgirError as error:
            _log.warning("the lease of loop %s was not lengthened: %s", held.row.name, error)
