"""The captures that this process has taken: renewed while it works, let go or finished exactly once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from agir_cvtoolkit.captures import Capture
from agir_cvtoolkit.errors import RemoteError
from agir_cvtoolkit.firebase import CaptureStore

_log = logging.getLogger(__name__)
_AGAIN = 3
"""So often a write is tried anew that something harmless has overtaken, such as the device's own."""


@dataclass
class _Held:
    capture: Capture
    lock: threading.Lock = field(default_factory=threading.Lock)


class Claims:
    """Captures in work; safe to use from several threads.

    Args:
        store: where they are.
        owner: who holds them: one name per run of a transfer.
        lease_s: how long in seconds a claim lasts without being renewed.
    """

    def __init__(self, store: CaptureStore, owner: str, lease_s: float) -> None:
        self.owner = owner
        self._store = store
        self._lease = timedelta(seconds=lease_s)
        self._held: dict[str, _Held] = {}
        self._guard = threading.Lock()

    def held(self) -> dict[str, Capture]:
        """Return what is held."""
        with self._guard:
            return {capture_id: held.capture for capture_id, held in self._held.items()}

    def take(self, capture: Capture) -> Capture | None:
        """Take a pending capture; None where another was quicker."""
        taken = self._store.claim(capture, self.owner, _now() + self._lease)
        if taken is not None:
            self._keep(taken)
        return taken

    def adopt(self, capture: Capture) -> bool:
        """Go on with a capture that an earlier process of this run holds."""
        self._keep(capture)
        return self.renew(capture.capture_id)

    def renew(self, capture_id: str) -> bool:
        """Lengthen a lease; False where the capture is no longer ours."""

        def once(capture: Capture) -> Capture | None:
            return self._store.renew(capture, _now() + self._lease)

        return self._change(capture_id, once, keep=True)

    def transferred(self, capture_id: str, when: datetime) -> bool:
        """Finish a capture; False where it is no longer ours."""
        return self._change(capture_id, lambda capture: self._store.transferred(capture, when))

    def fail(self, capture_id: str, reason: str) -> bool:
        """Say that a capture cannot be used; False where it is no longer ours."""
        return self._change(capture_id, lambda capture: self._store.fail(capture, reason))

    def release(self, capture_id: str) -> bool:
        """Give a capture back to the queue; False where it is no longer ours."""
        return self._change(capture_id, self._store.release)

    def release_all(self) -> None:
        """Give everything back, as far as the store can be reached; a lease ends by itself."""
        for capture_id in self.held():
            try:
                self.release(capture_id)
            except RemoteError as error:
                _log.warning("capture %s stays claimed until its lease ends: %s", capture_id, error)
                return

    def renew_due(self) -> None:
        """Renew the leases of which less than half is left; those that were lost are no longer held."""
        soon = _now() + self._lease / 2
        for capture_id, capture in self.held().items():
            if capture.claimed_until is not None and capture.claimed_until < soon:
                self.renew(capture_id)

    @contextmanager
    def renewing(self) -> Iterator[None]:
        """Renew the leases in the background until the end of the block."""
        stop = threading.Event()
        pause = max(0.05, self._lease.total_seconds() / 8)

        def work() -> None:
            while not stop.wait(pause):
                try:
                    self.renew_due()
                except RemoteError as error:
                    _log.warning("leases could not be renewed, which is tried again: %s", error)

        thread = threading.Thread(target=work, name="leases", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _keep(self, capture: Capture) -> None:
        with self._guard:
            self._held[capture.capture_id] = _Held(capture)

    def _drop(self, capture_id: str) -> None:
        with self._guard:
            self._held.pop(capture_id, None)

    def _change(
        self, capture_id: str, once: Callable[[Capture], Capture | None], *, keep: bool = False
    ) -> bool:
        with self._guard:
            held = self._held.get(capture_id)
        if held is None:
            return False
        with held.lock:
            with self._guard:
                if self._held.get(capture_id) is not held:
                    return False  # finished by another thread in the meantime
            for _ in range(_AGAIN):
                changed = once(held.capture)
                if changed is not None:
                    held.capture = changed
                    if not keep:
                        self._drop(capture_id)
                    return True
                current = self._store.get([capture_id]).get(capture_id)
                if current is None or not self.is_mine(current):
                    break
                held.capture = current
            self._drop(capture_id)
            _log.warning("capture %s was taken by another, or removed", capture_id)
            return False

    def is_mine(self, capture: Capture) -> bool:
        """Whether a capture, as the store has it, is claimed by this run."""
        leased = capture.status == "in_progress" and capture.claimed_until is not None
        return leased and capture.claimed_by == self.owner


def _now() -> datetime:
    return datetime.now(UTC)
