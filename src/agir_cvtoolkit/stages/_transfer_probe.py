"""Whether pictures are where they are looked for: no capture shall fail because of a wrong template or bucket."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agir_cvtoolkit.captures import Capture
from agir_cvtoolkit.errors import NotFoundError, PictureError, RemoteError, UsageError
from agir_cvtoolkit.firebase import CaptureStore
from agir_cvtoolkit.runs import list_runs

from ._transfer_journal import finished_journals
from ._transfer_tally import Tally

LOOKED_AT = 20
"""When so many pictures are missing and none was found anywhere, it is the template of their names that is wrong."""
_DOWN_THE_QUEUE = 500
_BROUGHT_EARLIER = 5


class PictureProbe:
    """Looks whether any picture is there at all, before captures are taken whose pictures may be missing.

    Where the first one is there, as nearly always, that is one request.

    Args:
        store: of the captures, with the template and the bucket of the call.
        out_root: where earlier transfers have left their runs.
        grace_s: so many seconds a capture waits for its picture.
    """

    def __init__(self, store: CaptureStore, out_root: Path, grace_s: float) -> None:
        self._store = store
        self._out_root = out_root
        self._grace = timedelta(seconds=grace_s)
        self._found = False
        self._missing: dict[str, str] = {}
        self._late: dict[str, str] = {}

    def late_until(self, capture: Capture) -> datetime | None:
        """Return when a capture fails for want of its picture; None where that moment is over."""
        # By the clock of the store: that of a device may be wrong, and it may have been without a network for days.
        until = None if capture.arrived is None else capture.arrived + self._grace
        return until if until is not None and until > datetime.now(UTC) else None

    def finds_any(self, captures: Iterable[Capture]) -> bool:
        """Return whether a picture was found: of these captures, of others that wait, or of some brought earlier.

        What is missing all the same is missing because its device did not send it.
        """
        candidates = iter(captures)
        while not self._found and (capture := next(candidates, None)) is not None:
            self._found = self._is_there(capture)
        if not self._found and (self._missing or self._late):
            seen = {*self._missing, *self._late}
            self._found = any(
                self._is_there(other) for other in self._others() if other.capture_id not in seen
            )
        if self._found:
            self._missing.clear()
            self._late.clear()
        return self._found

    def tell(self, tally: Tally) -> None:
        """List what is missing; too many of them are an error, since that is no chance."""
        for outcome, listed in (("waits", self._missing), ("late", self._late)):
            for capture_id, reason in listed.items():
                tally.note(capture_id, outcome, f"{reason}; so far no picture at all was found")
        if len(self._missing) >= LOOKED_AT:
            tally.error = tally.error or UsageError(
                f"none of {len(self._missing)} pictures is where it is looked for, so nothing was taken, and nothing"
                f" failed: {next(iter(self._missing.values()))}",
                "Correct --image-path (firebase.image_path) or --bucket (firebase.storage_bucket). Captures whose"
                " pictures were never sent: agir-cvtoolkit forget CAPTURE",
            )

    def _is_there(self, capture: Capture) -> bool:
        try:
            self._store.picture(capture.capture_id, 0)
        except PictureError:
            return True  # it has more than no bytes
        except NotFoundError as error:
            until = self.late_until(capture)
            if until is None:
                self._missing[capture.capture_id] = error.problem
            else:
                self._late[capture.capture_id] = still_to_come(error, until)
            return False
        except RemoteError:
            return True  # the storage fails, which the transfer tells better
        return True

    def _others(self) -> Iterator[Capture]:
        waiting = self._store.pending(1, _DOWN_THE_QUEUE)
        yield from waiting[:: max(1, len(waiting) // LOOKED_AT)]
        yield from self._brought()

    def _brought(self) -> Iterator[Capture]:
        left = _BROUGHT_EARLIER
        for journal in finished_journals(self._out_root, reversed(list_runs(self._out_root))):
            if journal.place != self._store.place:
                continue
            done = [i for i, step in journal.steps.items() if step.step == "finished"][:left]
            yield from self._store.get(done).values()
            left -= len(done)
            if not left:
                return


def still_to_come(error: NotFoundError, until: datetime) -> str:
    """Return the reason why a capture waits for its picture."""
    return f"{error.problem}; it may come until {until:%Y-%m-%d %H:%M:%S} UTC"
