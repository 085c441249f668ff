"""Captures taken from the queue and brought here, several at one time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue

from agir_cvtoolkit.captures import Capture
from agir_cvtoolkit.errors import (
    AuthenticationError,
    DataError,
    NotFoundError,
    PictureError,
    RefusedError,
    RemoteError,
)
from agir_cvtoolkit.firebase import CaptureStore
from agir_cvtoolkit.progress import Progress

from ._transfer_claims import Claims
from ._transfer_journal import Journal, Progressed
from ._transfer_picture import Fetched, Fetcher
from ._transfer_probe import LOOKED_AT, PictureProbe, still_to_come
from ._transfer_queue import waiting_for
from ._transfer_tally import Tally
from ._transfer_withdrawal import withdraw

_log = logging.getLogger(__name__)
_PAGE = 200
_MOST_REMOTE_ERRORS = 5
_HOPELESS = (AuthenticationError, RefusedError)
_FIRST_PAGE = 20
"""So few are asked for at first, so that pictures come soon."""


@dataclass(frozen=True)
class _Late:
    """A picture that is not there yet, of a capture that came just now."""

    reason: str


Outcome = Fetched | _Late | Exception | None


@dataclass(frozen=True)
class _Page:
    """Captures that were asked for, and those of them that were taken."""

    asked: Sequence[Capture] = ()
    taken: Sequence[Capture] = ()
    error: RemoteError | None = None
    is_last: bool = False


@dataclass
class Fetching:
    """Brings captures into one run.

    Attributes:
        avoid: captures that this call does not take again: they went back to the queue, or never could be taken.
        ready: captures whose files lie here, by id.
        late: ids of captures that wait for their pictures.
        written: how many are in the run's manifest.
    """

    store: CaptureStore
    claims: Claims
    journal: Journal
    fetcher: Fetcher
    tally: Tally
    progress: Progress
    parallel: int
    probe: PictureProbe
    avoid: set[str] = field(default_factory=set)
    ready: dict[str, Capture] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)
    written: int = -1

    def go_on(self, captures: Sequence[Capture]) -> None:
        """Bring captures that are held already; they go back to the queue where no picture is found at all."""
        if captures and self.probe.finds_any(captures):
            self._all(captures)
        else:
            self._put_back([capture.capture_id for capture in captures])

    def fill(self, wanted: int) -> None:
        """Take captures from the queue until `wanted` are here, or the queue is empty."""
        if wanted <= len(self.ready):
            return
        head = waiting_for(self.store, self.journal.options, LOOKED_AT)
        if head and self.probe.finds_any(head):
            self._fill(wanted)

    def _fill(self, wanted: int) -> None:
        tries: dict[tuple[str, str], int] = {}
        coming: Future[_Page] | None = None
        with ThreadPoolExecutor(1, thread_name_prefix="queue") as aside:
            while len(self.ready) < wanted and not self._hopeless():
                page = coming.result() if coming else self._page(wanted - len(self.ready), tries)
                coming = None
                if page.error is not None:
                    self._not_taken(page, page.error)
                    continue
                if page.is_last:
                    return
                rest = wanted - len(self.ready) - len(page.taken)
                if page.taken and rest > 0:
                    # The next ones are taken while these come.
                    coming = aside.submit(self._page, rest, tries)
                self._all(page.taken)
        if coming is not None:
            self._put_back([capture.capture_id for capture in coming.result().taken])

    def _page(self, wanted: int, tries: dict[tuple[str, str], int]) -> _Page:
        """Take the next captures from the queue with one request."""
        need = min(_PAGE if tries else _FIRST_PAGE, wanted)
        waiting = waiting_for(self.store, self.journal.options, need + len(self.avoid))
        lost = {capture.capture_id for capture in waiting} & (set(self.ready) - self.avoid)
        if lost:
            # They are here and wait all the same: another took them and has given them back.
            self.avoid |= lost
            return _Page()
        page = [capture for capture in waiting if capture.capture_id not in self.avoid][:need]
        for capture in page:
            same = (capture.capture_id, capture.version)
            tries[same] = tries.get(same, 0) + 1
            if tries[same] > 3:
                # Nobody changes it, and still it cannot be taken: it must not hold up the others.
                self.avoid.add(capture.capture_id)
        # Before they are taken, so that no kill leaves a claim that nobody remembers.
        self.journal.add(Progressed(capture.capture_id, "taking") for capture in page)
        try:
            return _Page(page, list(self.claims.take(page).values()), is_last=not page)
        except RemoteError as error:
            return _Page(page, error=error)

    def _not_taken(self, page: _Page, error: RemoteError) -> None:
        held = self.claims.held()
        for capture in page.asked:
            if capture.capture_id in held or not self._hopeless():
                self._settle(capture, error)
            else:
                self.avoid.add(capture.capture_id)

    def _all(self, captures: Sequence[Capture]) -> None:
        """Bring captures that are held; once that is hopeless the others go back to the queue."""
        if not captures:
            return
        left = {capture.capture_id for capture in captures}
        pool = ThreadPoolExecutor(self.parallel, thread_name_prefix="capture")
        try:
            with self.progress.bar("firebase transfer", len(captures)) as bar:
                for outcomes in _outcomes(pool, captures, self._fetch, self._hopeless):
                    # Many lines with one write: threads would stand in line for it.
                    self.journal.add(o.done for _, o in outcomes if isinstance(o, Fetched))
                    for capture, outcome in outcomes:
                        left.discard(capture.capture_id)
                        self._settle(capture, outcome)
                        bar.advance()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        self.avoid |= left
        self._put_back(left)

    def _put_back(self, capture_ids: Collection[str]) -> None:
        """Give captures back that nothing was done with."""
        try:
            for capture_id in capture_ids:
                self.claims.release(capture_id)
                self.journal.add([Progressed(capture_id, "dropped")])
        except (RemoteError, OSError) as failure:
            _log.warning("%d captures are free again when their lease ends: %s", len(capture_ids), failure)

    def _fetch(self, capture: Capture) -> Outcome:
        try:
            return self.fetcher.fetch(capture)
        except NotFoundError as error:
            until = self.probe.late_until(capture)
            if until is None:
                return self._refuse(capture, error)
            return _Late(still_to_come(error, until))
        except PictureError as error:
            return self._refuse(capture, error)
        except (RemoteError, DataError, OSError) as error:
            return error

    def _refuse(self, capture: Capture, error: PictureError | NotFoundError) -> Outcome:
        try:
            if not self.claims.fail(capture.capture_id, error.problem):
                return None
        except RemoteError as failure:
            return failure
        self.journal.add([Progressed(capture.capture_id, "dropped")])
        return error

    def _settle(self, capture: Capture, outcome: Outcome) -> None:
        capture_id = capture.capture_id
        if isinstance(outcome, Fetched):
            self.ready[capture_id] = outcome.capture
            for note in outcome.notes:
                self.tally.note(capture_id, "noted", note)
        elif isinstance(outcome, _Late):
            self.avoid.add(capture_id)
            self.late.add(capture_id)
            self.tally.note(capture_id, "late", outcome.reason)
            self._put_back([capture_id])
        elif isinstance(outcome, PictureError | NotFoundError):
            _log.warning("capture %s failed: %s", capture_id, outcome.problem)
            self.tally.note(capture_id, "failed", outcome.problem)
        elif isinstance(outcome, Exception):
            self.avoid.add(capture_id)
            self._give_back(capture_id, outcome)

    def _give_back(self, capture_id: str, error: Exception) -> None:
        if isinstance(error, RemoteError):
            self.tally.remote_failed(error)
        elif isinstance(error, DataError | OSError):
            self.tally.error = error
        self.tally.note(capture_id, "returned", str(error))
        try:
            self.claims.release(capture_id)
            self.journal.add([Progressed(capture_id, "dropped")])
        except (RemoteError, OSError) as failure:
            _log.warning("capture %s is free again when its lease ends: %s", capture_id, failure)

    def _hopeless(self) -> bool:
        """Whether going on would only fail again."""
        error = self.tally.error
        many = self.tally.remote_errors >= _MOST_REMOTE_ERRORS
        return many or isinstance(error, (*_HOPELESS, DataError, OSError))

    def withdraw(self, capture_id: str) -> None:
        """Remove what lies here of a capture that another has taken, and its entry in the folder's manifest."""
        self.ready.pop(capture_id, None)
        withdraw(self.journal, [capture_id])


def _outcomes(
    pool: ThreadPoolExecutor,
    captures: Sequence[Capture],
    work: Callable[[Capture], Outcome],
    hopeless: Callable[[], bool],
) -> Iterator[list[tuple[Capture, Outcome]]]:
    """Yield outcomes as they come, all that are there at a time; once it is hopeless nothing more is begun."""

    def each(capture: Capture) -> tuple[Capture, Outcome]:
        return capture, work(capture)

    ended: SimpleQueue[Future[tuple[Capture, Outcome]]] = SimpleQueue()
    begun = [pool.submit(each, capture) for capture in captures]
    for future in begun:
        future.add_done_callback(ended.put)
    waiting = len(begun)
    while waiting:
        come = [ended.get()]
        while not ended.empty():
            come.append(ended.get())
        waiting -= len(come)
        yield [future.result() for future in come if not future.cancelled()]
        if hopeless():
            for future in begun:
                future.cancel()
