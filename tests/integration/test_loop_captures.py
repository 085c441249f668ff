"""Rounds of what devices sent, end to end: a window is looked at, the best go to people, the others wait."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

pytest.importorskip("torch")

from agir_cvtoolkit.captures import Capture
from agir_cvtoolkit.errors import ServerUnreachableError
from agir_cvtoolkit.firebase import EmbeddedStore
from agir_cvtoolkit.ledger import Ledger, RoundRow
from agir_cvtoolkit.stages import Call, _pose_evaluation, _transfer_publish
from agir_cvtoolkit.stages._capture_rounds import CaptureRounds
from agir_cvtoolkit.stages._round_work import Chosen
from agir_cvtoolkit.stages.firebase_status import firebase_status
from agir_cvtoolkit.stages.forget import forget
from agir_cvtoolkit.stages.loop import LoopOptions, LoopResult, loop
from agir_cvtoolkit.stages.report import report
from agir_cvtoolkit.stages.status import status
from agir_cvtoolkit.stages.trigger import trigger_explain
from agir_cvtoolkit.stages.why import why
from tests.stages import retraining as world

from .test_loop_poses import JUDGED, correct
from .workspace import Workspace

pytestmark = pytest.mark.integration

OPTIONS = LoopOptions(count=4)


@pytest.fixture
def worms(empty: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    world.with_small_encoder(monkeypatch.setattr)
    monkeypatch.setattr(_pose_evaluation, "judge_pose", world.judged_half)
    return empty


def send(store: EmbeddedStore, numbers: range) -> None:
    """Play a device that has found nothing, which any model beats."""
    for number in numbers:
        taken = world.START + timedelta(hours=number)
        store.create(Capture(f"c{number:03d}", 0.2, 7, taken=taken, device_id="phone"), world.picture(number))


def calling(*more: str, dry_run: bool = False) -> Call:
    return world.call(
        *JUDGED,
        "loop.kind=pose",
        "loop.source=captures",
        "loop.captures.window=8",
        "firebase.retraining_threshold=4",
        "firebase.output_dir=captures",
        "retrain.test_set.near_duplicates=null",
        "select.near_duplicates=null",
        "select.embeddings=none",
        "loop.budget.patience=null",
        *more,
        dry_run=dry_run,
    )


def waiting(store: EmbeddedStore) -> set[str]:
    return {one.capture_id for one in store.pending(1, 100)}


def people(workspace: Workspace, result: LoopResult) -> RoundRow:
    row = result.rounds[-1]
    assert row.state == "in_annotation", result.why
    correct(workspace, [int(task) for task in row.figures["tasks"]])
    return row


def test_two_rounds_choose_and_every_capture_is_annotated_once(worms: Workspace) -> None:
    store = world.store()
    send(store, range(12))
    planned = loop("worms", OPTIONS, calling(dry_run=True), wait=False)
    assert planned.why == (
        "round 1 begins; it would look at 8 new captures and at 0 again, and transfer 4 of them at most"
    )
    assert planned.captures == tuple(f"c{number:03d}" for number in range(8))
    assert (waiting(store), worms.tasks()) == ({f"c{number:03d}" for number in range(12)}, [])

    call = calling()
    first = people(worms, loop("worms", OPTIONS, call, wait=False))
    assert (first.figures["chosen"], first.figures["looked_at"], len(first.figures["control"])) == (4, 8, 4)
    assert len(waiting(store)) == 8
    told = status(calling()).loops[0]
    assert told.passed_over == 4
    explained = trigger_explain("worms", calling()).captures
    assert explained is not None
    assert explained.passed_over == 4
    seen = firebase_status(calling()).store
    assert seen is not None
    assert seen.passed_over == 4

    again = loop("worms", OPTIONS, calling(dry_run=True), wait=False)
    assert again.captures == (), "people are at it"
    second = people(worms, loop("worms", OPTIONS, call, wait=False))
    assert second.number == 2
    assert second.figures["predictor"], "the first round's model has looked"
    assert (second.figures["strategy"], second.figures["looked_at"]) == ("class-doubt", 8)

    frames = [frame["name"] for one in worms.tasks() for frame in worms.frames(one["id"])]
    assert len(frames) == len(set(frames)) == 8
    assert len(waiting(store)) == 4
    assert waiting(store).isdisjoint(Path(name).stem for name in frames)

    with Ledger.open(None, worms.root / "outputs/runs") as ledger:
        corrected = {one.record_id for one in ledger.record_outcomes()}
    assert corrected == set(first.figures["control"]), "what people changed is known, too"

    left = sorted(waiting(store))[0]
    life = why(left, calling())
    looks = [event for event in life.events if event.kind == "looked_at"]
    assert looks[-1].detail["round"] == 2
    assert looks[-1].detail["rule"]
    page = report(Path("report.html"), loop="worms", call=calling())
    content = page.path.read_text(encoding="utf-8")
    assert "What was chosen, what was dropped, and why?" in content
    forget(left, calling())
    assert not list(worms.root.rglob(f"{left}.*")), "of a look nothing is left either"
    store.close()


def test_a_server_that_is_away_leaves_the_batch_to_the_next_call(
    worms: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = world.store()
    send(store, range(8))

    def away(*_: object, **__: object) -> None:
        raise ServerUnreachableError("CVAT does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(_transfer_publish, "_pushed", away)
        with pytest.raises(ServerUnreachableError):
            loop("worms", OPTIONS, calling(), wait=False)
    held = {f"c{number:03d}" for number in range(8)} - waiting(store)
    assert len(held) == 4, "CVAT may have been told of them: nobody else has them annotated meanwhile"
    row = loop("worms", OPTIONS, calling(), wait=False).rounds[0]
    assert (row.state, row.figures["chosen"]) == ("in_annotation", 4)
    frames = Counter(frame["name"] for one in worms.tasks() for frame in worms.frames(one["id"]))
    assert {Path(name).stem: many for name, many in frames.items()} == dict.fromkeys(held, 1)
    store.close()


def test_killed_between_the_transfer_and_the_ledger_the_batch_is_the_rounds(
    worms: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    store = world.store()
    send(store, range(8))
    whole = CaptureRounds.choose

    def killed(self: CaptureRounds, *args: object) -> Chosen:
        whole(self, *args)  # type: ignore[arg-type]
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(CaptureRounds, "choose", killed)
        with pytest.raises(Killed):
            loop("worms", OPTIONS, calling(), wait=False)
    assert len(waiting(store)) == 4
    row = loop("worms", OPTIONS, calling(), wait=False).rounds[0]
    assert (row.state, row.figures["chosen"], row.figures["looked_at"]) == ("in_annotation", 4, 8)
    assert len(worms.tasks()) == 1
    assert len(waiting(store)) == 4
    store.close()
