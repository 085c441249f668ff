"""The lease on a trigger: lengthened while a training goes on, given back when it fails."""

from __future__ import annotations

import logging
import socket
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from agir_cvtoolkit.captures import Trigger
from agir_cvtoolkit.errors import AgirError, RefusedError
from agir_cvtoolkit.runs import fingerprint

if TYPE_CHECKING:
    from agir_cvtoolkit.firebase import CaptureStore

_log = logging.getLogger("agir_cvtoolkit.stages.retrain")


def owner_of(out_root: Path) -> str:
    """Return who claims triggers for a workspace: the same one after a kill, another on another machine."""
    return f"{socket.gethostname()}-{fingerprint(uuid.getnode(), str(out_root.resolve()))[:8]}"


def take_trigger(store: CaptureStore, owner: str, lease_s: float) -> Trigger | None:
    """Return the trigger that a killed training of this workspace has left, else the oldest that is free.

    The caller holds the workspace's lock, so nobody is at work on a trigger of this owner.
    """
    now = datetime.now(UTC)
    until = now + timedelta(seconds=lease_s)
    for trigger in reversed(store.triggers()):
        if trigger.status == "claimed" and trigger.claimed_by == owner:
            mine = store.renew_trigger(trigger, until)
            if mine is not None:
                return mine
    return store.claim_trigger(owner, now, until)


class TriggerLease:
    """A claimed trigger whose lease is lengthened in the background until the end of the ``with`` block."""

    def __init__(self, store: CaptureStore, trigger: Trigger, lease_s: float) -> None:
        """Take a trigger that was claimed a moment ago.

        Args:
            store: that has it.
            trigger: as it was claimed.
            lease_s: seconds; it is lengthened whenever a third of them is over.
        """
        self._store, self._lease_s = store, lease_s
        self._trigger = trigger
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._keep, name="trigger-lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def hold(self) -> None:
        """Make sure that the trigger is still this training's, and lengthen the lease.

        Raises:
            RefusedError: somebody else has taken it.
            RemoteError: the store cannot be reached.
        """
        with self._lock:
            if not self._lost:
                self._renew()
            if self._lost:
                raise RefusedError(
                    f"trigger {self._trigger.trigger_id} was taken by another retraining",
                    "Nothing is lost: the other one trains. Lengthen firebase.lease_s if this machine was asleep.",
                )

    def finish(self, seen: dict[str, int], model: str) -> None:
        """Say that the training is done.

        Raises:
            RefusedError: somebody else has taken the trigger.
            RemoteError: the store cannot be reached.
        """
        self.hold()
        with self._lock:
            if self._store.finish_trigger(self._trigger, seen, model, datetime.now(UTC)) is None:
                raise RefusedError(
                    f"trigger {self._trigger.trigger_id} has changed meanwhile", "Run retrain again."
                )

    def release(self, reason: str) -> None:
        """Give the trigger back, so that it is taken again; where the store cannot be reached the lease runs out."""
        with self._lock:
            if self._lost:
                return
            try:
                self._store.release_trigger(self._trigger, reason)
            except AgirError as error:
                _log.warning(
                    "trigger %s stays claimed until its lease ends: %s", self._trigger.trigger_id, error
                )

    def _keep(self) -> None:
        while not self._stop.wait(self._lease_s / 3):
            with self._lock:
                if self._lost:
                    return
                try:
                    self._renew()
                except AgirError as error:
                    _log.warning(
                        "the lease of trigger %s was not lengthened: %s", self._trigger.trigger_id, error
                    )

    def _renew(self) -> None:
        until = datetime.now(UTC) + timedelta(seconds=self._lease_s)
        renewed = self._store.renew_trigger(self._trigger, until)
        if renewed is None:
            self._lost = True
        else:
            self._trigger = renewed
