"""New proposals in several requests: each is read from the ledger once, and sent once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agir_cvtoolkit.cvat import CvatSession, FrameMap, JobInfo, LabelSet
from agir_cvtoolkit.cvat.replacing import HeldShape, JobContent, NewShape
from agir_cvtoolkit.errors import ServerUnreachableError
from agir_cvtoolkit.ledger import PushedJob, PushedShape, PushedTask, Replacement
from agir_cvtoolkit.stages import _replace_job as replace_job
from agir_cvtoolkit.stages._push_words import Push
from agir_cvtoolkit.stages._replace_job import JobReplacement
from agir_cvtoolkit.stages._replace_words import OLD_THERE, exchange_of
from tests.cvat.fakes import FakeTransport, opened

FRAMES = 40
DATE = "2026-01-01T00:00:00Z"
JOB = JobInfo(51, 5, "new", "annotation", "annotation", 0, FRAMES - 1, DATE)
KEPT = PushedJob("p", 1, 51, 0, FRAMES - 1, DATE, "replacing")
TASK = PushedTask("p", 1, "field [p-1]", "run", "done", 5, "http://cvat.test/tasks/5")


def new_of(frame: int) -> list[PushedShape]:
    return [PushedShape(frame, n, "weed", "mask", "", f"new {frame} {n}".encode()) for n in (0, 1)]


def old_of(frame: int) -> list[PushedShape]:
    return [PushedShape(frame, 0, "weed", "mask", "", f"old {frame}".encode())]


class Ledger:
    """Knows the old and the new proposals of a job, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.read: Counter[int] = Counter()

    def shapes_left(self, _task: PushedTask, first: int, last: int) -> dict[int, list[PushedShape]]:
        self.asked["shapes_left"] += 1
        return {frame: old_of(frame) for frame in range(first, last + 1)}

    def replacements_of_job(self, _job: PushedJob) -> list[Replacement]:
        return [Replacement(frame, "ab", 1) for frame in range(FRAMES)]

    def replacement_shapes(self, _job: PushedJob, frame: int) -> list[PushedShape]:
        self.read[frame] += 1
        return new_of(frame)

    def keep_job(self, _job: PushedJob) -> None: ...

    def end_replacing(self, *_words: object) -> None: ...


class Server:
    """A job whose content is bytes; the request of one number loses its answer."""

    def __init__(self, lost: int | None = None, *, done: bool = False) -> None:
        self.held: list[str] = [
            row.geometry.decode() for f in range(FRAMES) for row in old_of(f) if row.geometry
        ]
        self.requests = 0
        self._lost, self._done = lost, done

    def content(self, *_words: object) -> JobContent:
        return JobContent(tuple(HeldShape(n, 0, signature) for n, signature in enumerate(self.held)))

    def delete(
        self, _session: CvatSession, _job_id: int, shapes: Sequence[HeldShape], _labels: LabelSet
    ) -> None:
        for shape in shapes:
            self.held.remove(shape.signature)

    def create(self, _session: CvatSession, _job_id: int, shapes: Sequence[NewShape]) -> None:
        self.requests += 1
        lost = self.requests == self._lost
        if not lost or self._done:
            self.held += [shape.signature for shape in shapes]
        if lost:
            raise ServerUnreachableError("the answer was lost", "Try again.")


def exchanged(server: Server, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace all proposals, one in a request."""

    def as_new(plain: bytes, *_words: object) -> NewShape:
        return NewShape(plain, plain.decode())

    replaced: dict[str, Any] = {
        "BODY_BYTES": 1,
        "unpack": lambda packed: packed,
        "as_new": as_new,
        "read_one_job": lambda session, job_id: JOB,
        "read_content": server.content,
        "delete_by_id": server.delete,
        "create_beside": server.create,
    }
    for name, stand_in in replaced.items():
        monkeypatch.setattr(replace_job, name, stand_in)
    push = cast("Push", SimpleNamespace(session=opened(FakeTransport()), ledger=ledger, run_id="run"))
    work = JobReplacement(push, TASK, KEPT, LabelSet(()), FrameMap(5, ()))
    left = work._left()
    assert left is not None
    exchange = exchange_of(left, work._staged())
    ledger.read.clear()
    outcome = work._carry_out(exchange, server.content(), OLD_THERE)
    assert outcome.replaced == tuple(range(FRAMES))
    assert server.held == [row.geometry.decode() for f in range(FRAMES) for row in new_of(f) if row.geometry]


def test_many_requests_read_each_frame_once(monkeypatch: pytest.MonkeyPatch) -> None:
    server, ledger = Server(), Ledger()
    exchanged(server, ledger, monkeypatch)
    assert server.requests == 2 * FRAMES
    assert ledger.read == Counter(range(FRAMES))
    assert ledger.asked == {"shapes_left": 1}


@pytest.mark.parametrize("done", [True, False])
def test_after_a_lost_answer_it_goes_on_with_the_frame_where_it_is(
    monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    server, ledger = Server(lost=51, done=done), Ledger()
    exchanged(server, ledger, monkeypatch)
    assert server.requests == 2 * FRAMES + (not done)
    assert sum(ledger.read.values()) == FRAMES + 1
