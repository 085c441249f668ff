"""Rounds of captures: a window is looked at, the best are transferred, the others wait as before; killed anywhere."""

from __future__ import annotations

import io
import itertools
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agir_cvtoolkit.captures import Capture
from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.firebase import EmbeddedStore, picture_key
from agir_cvtoolkit.inference.blank_poses import BlankPosePredictor
from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.ledger import Ledger, RoundRow
from agir_cvtoolkit.poses import Keypoint, Pose
from agir_cvtoolkit.runs import Run, list_runs
from agir_cvtoolkit.stages import (
    Call,
    _capture_look,
    _capture_rounds,
    _transfer_best,
    _transfer_journal,
    _transfer_publish,
)
from agir_cvtoolkit.stages._capture_rounds import CaptureRounds
from agir_cvtoolkit.stages._round_work import Chosen, LoopPlace
from agir_cvtoolkit.stages._transfer_journal import Journal
from agir_cvtoolkit.stages.firebase_transfer import firebase_transfer, transfer_chosen
from tests.stages.capture_queue import Queue, capture
from tests.stages.retraining import with_settings_kept
from tests.stages.test_firebase_transfer_faults import in_child

CHOOSING = (
    "loop.kind=pose",
    "loop.source=captures",
    "loop.captures.window=6",
    "select.strategy=uncertainty",
    "select.embeddings=none",
    "select.control=0",
)


class Glancing(BlankPosePredictor):
    """Is the surer of a picture the redder it is."""

    def predict(self, rgbs: Sequence[Any], boxes: Sequence[Any] | None = None) -> list[Pose]:
        sure = [min(1.0, float(np.mean(rgb[..., 0])) / 255) for rgb in rgbs]
        return [Pose({"nose": Keypoint(3, 4, confidence=0.3 + 0.7 * one)}) for one in sure]


def picture(number: int, red: int) -> bytes:
    array = np.random.default_rng(number).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    array[..., 0] = red
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "JPEG", quality=90)
    return stream.getvalue()


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.chdir(tmp_path)
    for name in ("CVAT_URL", "CVAT_HOST", "CVAT_ACCESS_TOKEN", "CVAT_USERNAME", "CVAT_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    with_a_model(monkeypatch.setattr)
    return Queue(tmp_path)


def with_a_model(patch: Callable[[Any, str, object], None]) -> None:
    patch(_capture_rounds, "checkpoint_path", lambda place, version: f"{version}.pth")
    patch(_capture_look, "open_pose_predictor", lambda settings: Glancing(load_schema("dog24")))


def fill(queue: Queue, reds: Sequence[int], start: int = 0) -> None:
    """Put captures in, one priority for all; the less red the more the model doubts."""
    store = queue.store
    for number, red in enumerate(reds, start=start):
        assert store.create(capture(number), picture(number, red))
    store.close()


def name(number: int) -> str:
    return f"pose-{number:04}"


@contextmanager
def place(queue: Queue, *more: str, loop: str = "dogs") -> Iterator[LoopPlace]:
    call = queue.call(*CHOOSING, *more)
    settings = call.settings()
    with Ledger.open(None, settings.io.out_root) as ledger:
        yield LoopPlace(loop, call, settings, ledger, "")


def opened(number: int = 1, predictor: str = "v1", run_id: str = "") -> RoundRow:
    run_id = run_id or f"loop/dogs-{number:03d}"
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return RoundRow("dogs", number, "opened", None, run_id, run_id, at, at, {"predictor": predictor})


def choose(
    queue: Queue, count: int, *more: str, row: RoundRow | None = None, others: Sequence[RoundRow] = ()
) -> Chosen:
    with place(queue, *more) as here:
        row = row or opened()
        return CaptureRounds(here).choose(row, [*others, row], count)


def brought(queue: Queue, chosen: Chosen) -> set[str]:
    assert chosen.run_id is not None
    return {e.record_id for e in Run(chosen.run_id, queue.root / "runs" / chosen.run_id).read_manifest()}


def free(queue: Queue) -> dict[str, Capture]:
    """Return the captures that wait, none of them with a trace of having been held."""
    store = queue.store
    found = {one.capture_id: one for one in store.pending(1, 100)}
    store.close()
    assert all(one.claimed_by is None and one.claimed_until is None for one in found.values())
    return found


def test_the_best_of_a_window_are_transferred_and_the_others_wait_untouched(queue: Queue) -> None:
    fill(queue, [200, 10, 220, 180, 20, 240, 0, 0])
    before = free(queue)
    chosen = choose(queue, 2)
    assert brought(queue, chosen) == {name(1), name(4)}, "the two of the first six that the model doubts most"
    assert chosen.count == 2
    assert (chosen.figures["looked_at"], chosen.figures["strategy"]) == (6, "uncertainty")
    left = free(queue)
    assert left == {i: one for i, one in before.items() if i not in {name(1), name(4)}}, (
        "not even a version changed"
    )
    with Ledger.open(None, queue.root / "runs") as ledger:
        kinds = [event.kind for event in ledger.events_of_record(name(1))]
        assert kinds == ["predicted", "selected", "predicted", "transferred"]
        (seen,) = [e for e in ledger.events_of_record(name(0)) if e.kind == "looked_at"]
        assert (seen.detail["round"], seen.detail["chosen"], seen.run_id) == (1, False, "loop/dogs-001")
        assert len(ledger.looked_at(queue.store.place)) == 4
        assert [row.unit_id for row in ledger.selections("loop/dogs-001")] == [name(1), name(4)]
    assert not list((queue.root / "runs" / "loop" / "dogs-001").rglob("captures"))


def test_the_next_round_looks_at_new_ones_and_at_those_that_were_left(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(queue, [200, 10, 120, 180, 20, 240, 230, 130])
    asked: list[str] = []
    picture_of = EmbeddedStore.picture

    def counted(self: EmbeddedStore, capture_id: str, limit_bytes: int) -> bytes:
        asked.append(capture_id)
        return picture_of(self, capture_id, limit_bytes)

    first = choose(queue, 2)
    monkeypatch.setattr(EmbeddedStore, "picture", counted)
    second = choose(
        queue, 2, row=opened(2), others=[replace(opened(), state="promoted", run_id=str(first.run_id))]
    )
    assert second.figures["looked_at"] == 6, "two new ones and four that were left"
    assert brought(queue, second) == {name(2), name(7)}
    assert set(asked) == {name(6), name(7), name(2)}, (
        "what was looked at before is not fetched to be looked at again"
    )
    with Ledger.open(None, queue.root / "runs") as ledger:
        rounds = [e.detail["round"] for e in ledger.events_of_record(name(0)) if e.kind == "looked_at"]
    assert rounds == [1, 2]


def test_the_first_round_has_no_model_to_ask(queue: Queue) -> None:
    fill(queue, [0] * 6)
    chosen = choose(queue, 2, row=opened(predictor=""))
    assert chosen.count == 2
    assert sorted(brought(queue, chosen)) == chosen.figures["control"], "all of them by chance"
    assert len(free(queue)) == 4


def test_no_more_than_are_wanted_is_the_queue_as_it_stands(queue: Queue) -> None:
    fill(queue, [200, 10, 220, 0])
    chosen = choose(queue, 2, "loop.captures.window=2")
    assert brought(queue, chosen) == {name(0), name(1)}
    assert chosen.figures == {"strategy": "priority of the queue"}
    assert not (queue.root / "runs" / "loop").exists()


def test_nothing_waits(queue: Queue) -> None:
    assert choose(queue, 2) == Chosen(0, comes_later=True)


def test_what_looks_like_a_labelled_one_stays_and_holds_up_nobody(queue: Queue) -> None:
    store = queue.store
    for number in range(6):
        store.create(capture(number), picture(0, 100))  # one photograph, sent six times
    first = choose(queue, 2)
    assert first.count == 1
    with place(queue) as here:
        done = replace(opened(), state="promoted", run_id=str(first.run_id))
        # Without CVAT nothing is in flight by its frame: what was brought is named as labelled.
        known = replace(here, call=queue.call(*CHOOSING, f"select.known_runs=['{first.run_id}']"))
        rounds = CaptureRounds(known)
        assert rounds.choose(opened(2), [done, opened(2)], 2) == Chosen(0, comes_later=True)
        assert not (queue.root / "runs/loop/dogs-002/select").exists(), "what it looks like is known already"
        fill(queue, [50, 60], start=10)
        assert brought(queue, rounds.choose(opened(2), [done, opened(2)], 2)) == {name(10), name(11)}
    assert len(free(queue)) == 5
    runs = list_runs(queue.root / "runs")
    nothing = firebase_transfer(queue.call(*CHOOSING), limit=1, look_at=6)
    assert (nothing.transferred, nothing.run_id, list_runs(queue.root / "runs")) == (0, None, runs)


def test_broken_pictures_fail_and_late_ones_wait(queue: Queue) -> None:
    fill(queue, [10, 20, 30])
    store = queue.store
    store.create(capture(7, 10), b"no picture")
    store.create(capture(8, 10), None)
    chosen = choose(queue, 2, "firebase.picture_grace_s=600")
    assert brought(queue, chosen) == {name(0), name(1)}
    assert set(free(queue)) == {name(2), name(8)}
    broken = store.get([name(7)])[name(7)]
    assert (broken.status, broken.claimed_by) == ("failed", None)
    assert "picture" in broken.reason
    store.file(picture_key("training_images/{pose_id}.jpg", name(8))).write_bytes(picture(8, 0))
    done = replace(opened(), state="promoted", run_id=str(chosen.run_id))
    assert name(8) in brought(queue, choose(queue, 1, row=opened(2), others=[done]))


def test_where_no_picture_is_found_nothing_fails(queue: Queue) -> None:
    store = queue.store
    for number in range(25):
        store.create(capture(number), None)
    with pytest.raises(UsageError, match=r"none of \d+ pictures"):
        choose(queue, 2, "loop.captures.window=25")
    assert len(free(queue)) == 25


def test_who_is_slower_chooses_again_of_what_is_left(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(queue, [200, 10, 220, 180, 20, 240])
    transfer = transfer_chosen
    stolen: list[str] = []

    def robbed(call: Call, ids: Sequence[str], chosen_in: str) -> Any:
        if not stolen:
            store = queue.store
            for one in store.get(ids).values():
                stolen.append(one.capture_id)
                assert store.claim(one, "another", datetime.now(UTC) + timedelta(hours=1))
            store.close()
        return transfer(call, ids, chosen_in)

    monkeypatch.setattr("agir_cvtoolkit.stages._capture_rounds.transfer_chosen", robbed)
    chosen = choose(queue, 2)
    assert stolen == [name(1), name(4)]
    assert brought(queue, chosen) == {name(3), name(0)}
    assert {one.claimed_by for one in queue.store.get(stolen).values()} == {"another"}


def test_a_plain_transfer_beside_it_takes_the_queue_as_it_stands(queue: Queue) -> None:
    fill(queue, [200, 10, 220, 180, 20, 240, 100])
    assert brought(queue, choose(queue, 2)) == {name(1), name(4)}
    assert sorted(firebase_transfer(queue.call(), limit=2).captures) == [name(0), name(2)]


def test_a_single_transfer_brings_the_best_of_those_that_it_looks_at(queue: Queue) -> None:
    fill(queue, [200, 10, 220, 180, 20, 240, 0])
    planned = firebase_transfer(queue.call(dry_run=True), limit=2, look_at=6)
    assert (planned.transferred, planned.passed_over, len(planned.captures)) == (2, 4, 6)
    result = firebase_transfer(queue.call(*CHOOSING), limit=2, look_at=6)
    assert (set(result.captures), result.passed_over, result.exit_code) == ({name(1), name(4)}, 4, 0)
    assert len(free(queue)) == 5
    with Ledger.open(None, queue.root / "runs") as ledger:
        assert set(ledger.looked_at(queue.store.place)) == {name(0), name(2), name(3), name(5)}
    assert set(firebase_transfer(queue.call(*CHOOSING), limit=1, look_at=6).captures) == {name(6)}
    with pytest.raises(UsageError, match="cannot be chosen"):
        firebase_transfer(queue.call(), limit=6, look_at=6)


def test_a_single_transfer_needs_a_model_to_choose_by(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(queue.root)
    assert firebase_transfer(queue.call(), limit=1, look_at=6).run_id is None
    assert list_runs(queue.root / "runs") == [], "nothing waits, and nothing is left of it"
    fill(queue, [1, 2, 3])
    with pytest.raises(UsageError, match="no pose model has been promoted"):
        firebase_transfer(queue.call(), limit=1, look_at=6)
    assert len(free(queue)) == 3
    assert list_runs(queue.root / "runs") == []


def test_a_watch_chooses_when_people_are_done(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(queue, [200, 10, 220, 180, 20, 240])

    def look() -> tuple[set[str], int, int]:
        result = firebase_transfer(queue.call(*CHOOSING), limit=2, look_at=6, patient=True)
        return set(result.captures), result.passed_over, result.with_people

    assert look() == ({name(0), name(1)}, 0, 0), (
        "without a model the first in the queue, or there never is one"
    )
    monkeypatch.setattr(_transfer_best, "_has_model", lambda settings: True)
    assert look() == ({name(4), name(3)}, 2, 0)
    assert look() == (set(), 0, 2)
    assert set(free(queue)) == {name(2), name(5)}, "what was passed over is not brought at once"
    store = queue.store
    assert len(store.complete([name(3), name(4)], datetime.now(UTC))) == 2
    store.close()
    assert look()[2] == 0


def test_two_at_once_never_choose_the_same(queue: Queue) -> None:
    fill(queue, [200, 10, 220, 180, 20, 240, 100, 90])
    children = []
    for loop in ("dogs", "cats", "mice"):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with place(queue, "loop.captures.window=8", loop=loop) as here:
                    row = replace(opened(run_id=f"loop/{loop}-001"), loop=loop)
                    CaptureRounds(here).choose(row, [row], 2)
                    status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 3
    out_root = queue.root / "runs"
    runs = [Run(run_id, out_root / run_id) for run_id in list_runs(out_root)]
    made = [run for run in runs if Journal.read(run, finished=True) is not None]
    records = [entry.record_id for run in made for entry in run.read_manifest()]
    assert 2 <= len(records) == len(set(records))
    assert set(free(queue)) == {name(n) for n in range(8)} - set(records), "what one lost another has"


PLACES: tuple[tuple[Any, str], ...] = (
    (EmbeddedStore, "claim_all"),
    (EmbeddedStore, "picture"),
    (EmbeddedStore, "fail"),
    (EmbeddedStore, "transferred_all"),
    (_transfer_journal, "write_json"),
    (_transfer_journal.Journal, "add"),
    (_transfer_publish, "merge_entries"),
    (_transfer_publish, "write_text"),
    (_capture_look, "write_bytes"),
    (_capture_look, "discard"),
    (Ledger, "record_predictions"),
    (Ledger, "record_transfers"),
    (Ledger, "record_selection"),
    (Ledger, "record_looks"),
    (Run, "append_manifest"),
    (Run, "write_metrics"),
    (Run, "finish"),
)
"""Whatever writes something that lasts."""


def die_at(number: int) -> None:
    count = itertools.count(1)

    def deadly(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if next(count) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **options)

        return call

    for owner, attribute in PLACES:
        setattr(owner, attribute, deadly(getattr(owner, attribute)))


@pytest.mark.slow
def test_killed_anywhere_and_started_again_it_ends_as_if_undisturbed(tmp_path: Path) -> None:
    killed = 0
    for number in range(1, 120):
        queue = Queue(tmp_path / "workspace")  # always the same one, so that its settings are composed once
        with pytest.MonkeyPatch.context() as patched:
            with_a_model(patched.setattr)
            with_settings_kept(patched.setattr)
            fill(queue, [200, 10, 220, 180, 20])
            store = queue.store
            store.create(capture(7, 10), b"no picture")
            store.close()
            row = opened()

            def work(queue: Queue = queue, number: int = number, row: RoundRow = row) -> None:
                die_at(number)
                choose(queue, 2, row=row)

            end = in_child(work)
            assert end in {0, signal.SIGKILL}
            killed += end == signal.SIGKILL
            if number % 3 == 0:  # the next transfer of anybody here ends what was begun
                firebase_transfer(queue.call(), limit=9, priority=10)
            chosen = choose(queue, 2, row=row)
        check(queue, chosen)
        shutil.rmtree(queue.root)
        if end == 0:
            break
    else:
        pytest.fail("it was killed at every point")
    assert killed > 30


def check(queue: Queue, chosen: Chosen) -> None:
    assert brought(queue, chosen) == {name(1), name(4)}
    assert set(free(queue)) == {name(0), name(2), name(3)}
    store = queue.store
    found = store.get([name(1), name(4), name(7)])
    store.close()
    assert {i: (c.status, c.claimed_by) for i, c in found.items()} == {
        name(1): ("in_progress", None),
        name(4): ("in_progress", None),
        name(7): ("failed", None),
    }
    out_root = queue.root / "runs"
    runs = [Run(run_id, out_root / run_id) for run_id in list_runs(out_root)]
    assert not [run for run in runs if Journal.read(run) is not None], "no transfer is left unfinished"
    made = [journal.options for run in runs if (journal := Journal.read(run, finished=True)) is not None]
    assert {options.only for options in made if options.chosen_in} == {(name(1), name(4))}
    brought_by = [run for run in runs if Journal.read(run, finished=True) and run.manifest_path.is_file()]
    assert sum(bool(run.read_manifest()) for run in brought_by) == 1
    with Ledger.open(None, out_root) as ledger:
        for number in (1, 4):
            kinds = [event.kind for event in ledger.events_of_record(name(number))]
            assert sorted(kinds) == ["predicted", "predicted", "selected", "transferred"]
        for number in (0, 2, 3):
            kinds = [event.kind for event in ledger.events_of_record(name(number))]
            assert sorted(kinds) == ["looked_at", "predicted"]
