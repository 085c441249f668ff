"""Whether pictures are where they are looked for: no capture shall fail because of a wrong template or bucket."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from agir_cvtoolkit.errors import NotFoundError, PictureError, RemoteError, UsageError
from agir_cvtoolkit.firebase import CaptureStore
from agir_cvtoolkit.runs import Run, list_runs

from ._transfer_journal import Journal
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
    """

    def __init__(self, store: CaptureStore, out_root: Path) -> None:
        self._store = store
        self._out_root = out_root
        self._found = False
        self.missing: dict[str, str] = {}

    def finds_any(self, capture_ids: Iterable[str]) -> bool:
        """Return whether a picture was found: of these captures, of others that wait, or of some brought earlier.

        What is missing all the same is missing because its device did not send it.
        """
        candidates = iter(capture_ids)
        while not self._found and (capture_id := next(candidates, None)) is not None:
            self._found = self._is_there(capture_id)
        if not self._found and self.missing:
            others = (i for i in self._others() if i not in self.missing)
            self._found = any(self._is_there(capture_id) for capture_id in others)
        if self._found:
            self.missing.clear()
        return self._found

    def tell(self, tally: Tally) -> None:
        """List what is missing; too many of them are an error, since that is no chance."""
        for capture_id, reason in self.missing.items():
            tally.note(capture_id, "waits", f"{reason}; so far no picture at all was found")
        if len(self.missing) >= LOOKED_AT:
            tally.error = tally.error or UsageError(
                f"none of {len(self.missing)} pictures is where it is looked for, so nothing was taken, and nothing"
                f" failed: {next(iter(self.missing.values()))}",
                "Correct --image-path (firebase.image_path) or --bucket (firebase.storage_bucket). Captures whose"
                " pictures were never sent: agir-cvtoolkit forget CAPTURE",
            )

    def _is_there(self, capture_id: str) -> bool:
        try:
            self._store.picture(capture_id, 0)
        except PictureError:
            return True  # it has more than no bytes
        except NotFoundError as error:
            self.missing[capture_id] = error.problem
            return False
        except RemoteError:
            return True  # the storage fails, which the transfer tells better
        return True

    def _others(self) -> Iterator[str]:
        waiting = [capture.capture_id for capture in self._store.pending(1, _DOWN_THE_QUEUE)]
        yield from waiting[:: max(1, len(waiting) // LOOKED_AT)]
        yield from self._brought()

    def _brought(self) -> Iterator[str]:
        left = _BROUGHT_EARLIER
        for run_id in reversed(list_runs(self._out_root)):
            journal = Journal.read(Run(run_id, self._out_root / run_id), finished=True)
            if journal is None or journal.place != self._store.place:
                continue
            done = [i for i, step in journal.steps.items() if step.step == "finished"][:left]
            yield from done
            left -= len(done)
            if not left:
                return
