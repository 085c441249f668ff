"""New proposals for one job, in place of the old ones, beside whatever a person may do at the same time.

The order of requests: what the job holds is read and compared with what was left there; the job is read once
more, immediately before the old proposals are taken out by the ids just read; the new ones are put in beside
whatever is there; then state, content and date are read and compared with what was left plus the new. Nothing
else is ever written, so what a person adds stays, and what she changes stays, but for one gap: a change of an
old proposal that is saved between the last reading of the job and the deletion goes with it.

Before the first write the ledger knows what is intended. A replacement that was killed is recognised by what
the job holds: all old proposals and no new one, or none of the old and the first few of the new, in their
order. Anything else is a person's doing, and the job is left as it is.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from agir_cvtoolkit.cvat import FrameMap, JobInfo, LabelSet
from agir_cvtoolkit.cvat.annotations import BODY_BYTES
from agir_cvtoolkit.cvat.failures import UNCERTAIN
from agir_cvtoolkit.cvat.replacing import (
    HeldShape,
    JobContent,
    NewShape,
    as_new,
    create_beside,
    delete_by_id,
    in_bodies,
    read_content,
    read_one_job,
)
from agir_cvtoolkit.errors import LabelError, ShapeError
from agir_cvtoolkit.ledger import PushedJob, PushedShape, PushedTask, Replacement
from agir_cvtoolkit.plain_shapes import unpack

from ._candidates import Candidate
from ._push_shapes import as_pushed, checked_shapes
from ._push_words import Push, job_page
from ._replace_words import OLD_THERE, Exchange, exchange_of

_log = logging.getLogger(__name__)

EARLIER = "with an earlier prediction"
BETWEEN = "with its earlier or its new proposals"
NEW = "with its new proposals"
"""What is known to be there of a record that was left alone."""

LOOKS = 3
"""How often a job is read again because it was saved in between."""


@dataclass(frozen=True)
class JobOutcome:
    """What became of the changed frames of a job.

    Attributes:
        replaced: frames with new proposals.
        same: frames whose new proposals are the old ones, shape by shape.
        reason: why the other frames were left alone.
        there: with which proposals they are there, in words.
    """

    replaced: tuple[int, ...] = ()
    same: tuple[int, ...] = ()
    reason: str = ""
    there: str = EARLIER


class JobReplacement:
    """The replacement of proposals in one job."""

    def __init__(
        self, push: Push, task: PushedTask, kept: PushedJob, labels: LabelSet, frames: FrameMap
    ) -> None:
        self._push = push
        self._task = task
        self._kept = kept
        self._labels = labels
        self._frames = frames
        self._page = job_page(push.session, task.task_id or 0, kept.job_id)

    def rehearse(self, job: JobInfo | None, changes: Mapping[int, Candidate]) -> JobOutcome:
        """Return what `replace` would do, writing nothing, neither here nor on the server."""
        reason = self._unwritable(job)
        left = None if reason else self._left()
        if left is None:
            return JobOutcome(reason=reason or self._unknown())
        same = tuple(f for f, c in changes.items() if self._signatures(f, c) == Counter(left.get(f, ())))
        others = tuple(frame for frame in changes if frame not in same)
        if not others:
            return JobOutcome(same=same)
        content = read_content(self._push.session, self._kept.job_id, self._labels)
        staged = self._staged() if self._kept.state == "replacing" else ()
        if exchange_of(left, staged).found_in(content) is None:
            return JobOutcome(same=same, reason=self._worked_in())
        return JobOutcome(others, same)

    def replace(self, job: JobInfo | None, changes: Mapping[int, Candidate]) -> JobOutcome:
        """Replace the proposals of some frames, if nobody has touched the job.

        Args:
            job: as it was just listed; None where it is no longer there.
            changes: what is to be on a frame.

        Raises:
            RemoteError: of its kinds; the next call goes on from there.
        """
        reason = self._unwritable(job)
        if reason:
            if job is not None and not _is_new(job):
                self._end("touched")
            return JobOutcome(reason=reason)
        left = self._left()
        if left is None:
            return JobOutcome(reason=self._unknown())
        self._end("left")  # drops what a call wrote down that was killed before it touched the job
        for frame, candidate in changes.items():
            shapes = checked_shapes(candidate, frame, self._labels, self._size(frame))
            intended = Replacement(frame, candidate.prediction_hash, candidate.units)
            self._push.ledger.stage_replacement(self._kept, intended, as_pushed(frame, shapes))
        exchange = exchange_of(left, self._staged())
        if exchange.is_empty:
            self._end("left", replaced=True, silent=frozenset(changes))
            return JobOutcome(same=tuple(changes))
        content = read_content(self._push.session, self._kept.job_id, self._labels)
        if exchange.found_in(content) != OLD_THERE:
            self._end("touched")
            return JobOutcome(reason=self._worked_in())
        self._note("replacing", OLD_THERE)
        outcome = self._carry_out(exchange, content, OLD_THERE)
        same = tuple(frame for frame in changes if frame not in exchange.frames)
        return replace(outcome, same=same, replaced=tuple(f for f in outcome.replaced if f not in same))

    def resume(self, job: JobInfo | None) -> JobOutcome:
        """Bring a replacement to its end in which an earlier call was killed, if nobody was there since."""
        left = self._left()
        try:
            exchange = exchange_of(left, self._staged()) if left is not None else None
        except (LabelError, ShapeError, KeyError):
            exchange = None
        if job is None or exchange is None:
            self._end("touched")
            reason = f"job {self._kept.job_id} is no longer as it was: {self._page}"
            return JobOutcome(reason=reason, there=BETWEEN)
        content = read_content(self._push.session, job.id, self._labels)
        found = exchange.found_in(content, self._kept.written)
        if not _is_new(job) or found is None:
            return self._give_up()
        _log.info("going on with new proposals in job %d", job.id)
        return self._carry_out(exchange, content, found)

    # --- the requests ---------------------------------------------------------------------------

    def _carry_out(self, exchange: Exchange, content: JobContent, at: int) -> JobOutcome:
        session, job_id = self._push.session, self._kept.job_id
        there: int | None = at
        bodies: Iterator[list[NewShape]] | None = None
        attempt = 0
        # What a killed call has sent may arrive late too.
        lost = at > 0
        while there is not None and there < exchange.end:
            before = there
            try:
                if there == OLD_THERE:
                    # Nothing may come between this look and the deletion.
                    reason = self._unwritable(read_one_job(session, job_id), resumed=True)
                    if reason:
                        self._end("left")
                        return JobOutcome(reason=reason)
                    delete_by_id(session, job_id, _chosen(content, exchange.old), self._labels)
                    there = 0
                else:
                    bodies = bodies or in_bodies(self._to_send(exchange, there), BODY_BYTES)
                    body = next(bodies)
                    create_beside(session, job_id, body)
                    there += len(body)
            except UNCERTAIN:
                bodies = None  # what comes next is known once the job is read
                lost = True
                attempt += 1
                if attempt >= session.policy.attempts:
                    raise
                session.clock.sleep(session.policy.wait(attempt))
                content = read_content(session, job_id, self._labels)
                there = exchange.found_in(content, before)
            if there is not None and there != before:
                self._note("replacing", there)
        return self._finish(exchange, lost=lost) if there is not None else self._give_up()

    def _finish(self, exchange: Exchange, *, lost: bool) -> JobOutcome:
        """Look whether the job holds what was left plus the new, and record it.

        Args:
            exchange: what was to go and to come.
            lost: an answer was lost, so a request may have arrived after it was repeated.
        """
        session, job_id = self._push.session, self._kept.job_id
        for _ in range(LOOKS):
            before = read_one_job(session, job_id)
            content = read_content(session, job_id, self._labels)
            after = read_one_job(session, job_id)
            doubled = exchange.doubled_in(content) if lost and _is_new(after) else []
            if doubled:
                with suppress(*UNCERTAIN):  # the next look tells whether it was done
                    delete_by_id(session, job_id, doubled, self._labels)
            elif before == after:
                break
        ours = before == after and _is_new(after) and exchange.is_done_in(content)
        self._kept = replace(self._kept, updated_date=after.updated_date)
        frames = tuple(one.frame for one in self._push.ledger.replacements_of_job(self._kept))
        same = frozenset(frames) - exchange.frames
        self._end("left" if ours else "touched", replaced=True, silent=same)
        return JobOutcome(frames) if ours else JobOutcome(reason=self._raced(), there=NEW)

    def _give_up(self) -> JobOutcome:
        self._end("touched")
        return JobOutcome(reason=self._raced(), there=BETWEEN)

    # --- what was left, and what is intended ----------------------------------------------------

    def _left(self) -> dict[int, list[str]] | None:
        """Return the signatures of what was left by frame; None in what an earlier version has pushed."""
        found: dict[int, list[str]] = {}
        kept = self._kept
        left = self._push.ledger.shapes_left(self._task, kept.start_frame, kept.stop_frame)
        for frame in kept.frames:
            rows = left.get(frame, [])
            if any(row.geometry is None for row in rows):
                return None
            try:
                found[frame] = [new.signature for new in self._as_new(rows)]
            except (LabelError, KeyError):
                # A label that is gone has taken its shapes along: no job looks like this any more.
                found[frame] = [f"gone {frame}"]
        return found

    def _staged(self) -> Iterator[tuple[int, list[str]]]:
        for one in self._push.ledger.replacements_of_job(self._kept):
            rows = self._push.ledger.replacement_shapes(self._kept, one.frame)
            yield one.frame, [new.signature for new in self._as_new(rows)]

    def _to_send(self, exchange: Exchange, skip: int) -> Iterator[NewShape]:
        number = 0
        for one in self._push.ledger.replacements_of_job(self._kept):
            wanted = set(exchange.positions.get(one.frame, ()))
            if number + len(wanted) <= skip:
                number += len(wanted)
                continue
            rows = self._push.ledger.replacement_shapes(self._kept, one.frame)
            for row in rows:
                if row.position in wanted:
                    number += 1
                    if number > skip:
                        yield from self._as_new([row])

    def _as_new(self, rows: Sequence[PushedShape]) -> Iterator[NewShape]:
        capabilities = self._push.session.capabilities
        return (as_new(unpack(row.geometry or b""), row.frame, self._labels, capabilities) for row in rows)

    def _signatures(self, frame: int, candidate: Candidate) -> Counter[str]:
        shapes = checked_shapes(candidate, frame, self._labels, self._size(frame))
        capabilities = self._push.session.capabilities
        return Counter(as_new(shape, frame, self._labels, capabilities).signature for shape in shapes)

    def _size(self, frame: int) -> tuple[int, int]:
        entry = self._frames.by_frame[frame]
        return entry.width, entry.height

    # --- the ledger -----------------------------------------------------------------------------

    def _note(self, state: str, written: int) -> None:
        self._kept = replace(
            self._kept, state="replacing" if state == "replacing" else "left", written=written
        )
        self._push.ledger.keep_job(self._kept)

    def _end(self, state: str, *, replaced: bool = False, silent: frozenset[int] = frozenset()) -> None:
        self._kept = replace(self._kept, state="touched" if state == "touched" else "left", written=OLD_THERE)
        done = self._push.ledger.replacements_of_job(self._kept) if replaced else []
        detail = {"task": self._task.task_id, "job": self._kept.job_id, "url": self._page}
        self._push.ledger.end_replacing(self._kept, self._push.run_id, done, detail, silent)

    # --- why not --------------------------------------------------------------------------------

    def _unwritable(self, job: JobInfo | None, *, resumed: bool = False) -> str:
        if job is None:
            return f"its job {self._kept.job_id} is no longer there: {self._page}"
        if not _is_new(job):
            return f"job {job.id} is {job.state} in stage {job.stage}: {self._page}"
        if self._kept.state == "touched":
            return self._worked_in()
        if job.updated_date != self._kept.updated_date:
            since = "while its proposals were to be replaced" if resumed else "since the last upload"
            return f"job {job.id} was saved, assigned, or its labels were changed {since}: {self._page}"
        return ""

    def _worked_in(self) -> str:
        return f"somebody has worked in job {self._kept.job_id}: {self._page}"

    def _raced(self) -> str:
        return (
            f"somebody saved job {self._kept.job_id} while its proposals were being replaced;"
            f" the job is left as it is now, have a look: {self._page}"
        )

    def _unknown(self) -> str:
        return "an earlier version of this tool uploaded it and did not note what it left there"


def _is_new(job: JobInfo) -> bool:
    return job.state == "new" and job.stage == "annotation"


def _chosen(content: JobContent, old: Counter[str]) -> list[HeldShape]:
    """Return the shapes of these signatures, as many of each as there are to go."""
    left = Counter(old)
    chosen = []
    for shape in content.shapes:
        if left[shape.signature] > 0:
            left[shape.signature] -= 1
            chosen.append(shape)
    return chosen
