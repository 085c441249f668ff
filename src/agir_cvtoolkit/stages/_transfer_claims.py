"""The captures that this process has taken: renewed while it works, let go or finished exactly once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
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

    def take(self, captures: Sequence[Capture]) -> dict[str, Capture]:
        """Take pending captures; return those for which no other was quicker, by id.

        Raises:
            RemoteError: the store fails; what it took before that is held.
        """
        until = _now() + self._lease
        try:
            taken = self._store.claim_all(captures, self.owner, until)
        except RemoteError:
            with suppress(RemoteError):
                for capture in self._store.get(capture.capture_id for capture in captures).values():
                    if self.is_mine(capture):
                        self._keep(capture)
            raise
        for capture in taken:
            self._keep(capture)
        return {capture.capture_id: capture for capture in taken}

    def adopt(self, captures: Sequence[Capture]) -> dict[str, Capture]:
        """Go on with captures that an earlier process of this run holds; return those that still are ours, by id."""
        for capture in captures:
            self._keep(capture)
        ours = self.renew(capture.capture_id for capture in captures)
        return {capture_id: capture for capture_id, capture in self.held().items() if capture_id in ours}

    def renew(self, capture_ids: Iterable[str]) -> set[str]:
        """Lengthen leases; return those of the captures that still are ours."""

        def once(captures: Sequence[Capture]) -> list[Capture]:
            return self._store.renew_all(captures, _now() + self._lease)

        return self._change(capture_ids, once, keep=True)

    def transferred(self, capture_ids: Iterable[str], when: datetime) -> set[str]:
        """Finish captures; return those that were ours."""
        return self._change(capture_ids, lambda captures: self._store.transferred_all(captures, when))

    def fail(self, capture_id: str, reason: str) -> bool:
        """Say that a capture cannot be used; False where it is no longer ours."""
        return self._change_one(capture_id, lambda capture: self._store.fail(capture, reason))

    def release(self, capture_id: str) -> bool:
        """Give a capture back to the queue; False where it is no longer ours."""
        return self._change_one(capture_id, self._store.release)

    def release_all(self) -> None:
        """Give everything back, as far as the store can be reached; a lease ends by itself."""
        try:
            self._change(self.held(), self._store.release_all)
        except RemoteError as error:
            _log.warning("%d captures stay claimed until their lease ends: %s", len(self.held()), error)

    def renew_due(self) -> None:
        """Renew the leases of which less than half is left; those that were lost are no longer held."""
        soon = _now() + self._lease / 2
        self.renew(
            capture_id
            for capture_id, capture in self.held().items()
            if capture.claimed_until is not None and capture.claimed_until < soon
        )

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

    def _change_one(self, capture_id: str, once: Callable[[Capture], Capture | None]) -> bool:
        def each(captures: Sequence[Capture]) -> list[Capture]:
            return [changed for changed in map(once, captures) if changed is not None]

        return bool(self._change([capture_id], each))

    def _change(
        self,
        capture_ids: Iterable[str],
        once: Callable[[Sequence[Capture]], Sequence[Capture]],
        *,
        keep: bool = False,
    ) -> set[str]:
        with ExitStack() as locks:
            left = self._locked(capture_ids, locks)
            changed: set[str] = set()
            for _ in range(_AGAIN):
                if not left:
                    return changed
                for capture in once([held.capture for held in left.values()]):
                    left.pop(capture.capture_id).capture = capture
                    changed.add(capture.capture_id)
                    if not keep:
                        self._drop(capture.capture_id)
                current = self._store.get(left) if left else {}
                for capture_id in list(left):
                    found = current.get(capture_id)
                    if found is not None and self.is_mine(found):
                        left[capture_id].capture = found
                    else:
                        left.pop(capture_id)
                        self._lose(capture_id)
            for capture_id in left:
                self._lose(capture_id)
            return changed

    def _locked(self, capture_ids: Iterable[str], locks: ExitStack) -> dict[str, _Held]:
        """Return what is held of captures, each kept from other threads; in one order, so that none waits for ever."""
        found = {}
        for capture_id in sorted(set(capture_ids)):
            with self._guard:
                held = self._held.get(capture_id)
            if held is None:
                continue
            locks.enter_context(held.lock)
            with self._guard:
                if self._held.get(capture_id) is held:  # else another thread has finished it in the meantime
                    found[capture_id] = held
        return found

    def _lose(self, capture_id: str) -> None:
        self._drop(capture_id)
        _log.warning("capture %s was taken by another, or removed", capture_id)

    def is_mine(self, capture: Capture) -> bool:
        """Whether a capture, as the store has it, is claimed by this run."""
        leased = capture.status == "in_progress" and capture.claimed_until is not None
        return leased and capture.claimed_by == self.owner

    def is_finished(self, capture: Capture) -> bool:
        """Whether a capture, as the store has it, was transferred by this run and is in nobody's hands now."""
        # Where it does not say who transferred it, an older version of this package has, or it was completed at once.
        ours = capture.transferred_by in {None, self.owner}
        return ours and capture.claimed_by is None and capture.status != "failed"


def _now() -> datetime:
    return datetime.now(UTC)
