"""``firebase run``: three steps that say what they did, beside each other, until a signal stops them."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from agir_cvtoolkit import Call
from agir_cvtoolkit.captures import Capture
from agir_cvtoolkit.cli.firebase_run import StatusLine
from agir_cvtoolkit.errors import ServerUnreachableError, UsageError
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.serving.together import watch_together
from agir_cvtoolkit.stages import firebase_return, firebase_transfer, retrain
from agir_cvtoolkit.stages._comparison import Verdict
from agir_cvtoolkit.stages._transfer_tally import TransferResult
from agir_cvtoolkit.stages.firebase_run import loop_steps
from agir_cvtoolkit.stages.retrain import RetrainResult

from . import retraining as world

REPOSITORY = Path(__file__).parents[2]


def Transferred(transferred: int = 0, failed: int = 0, *items: Item) -> TransferResult:
    """Return what a transfer tells."""
    nowhere = Path("captures")
    return TransferResult(
        place="store",
        run_id=None,
        run_root=None,
        transferred=transferred,
        resumed=0,
        failed=failed,
        returned=0,
        items=items,
        captures=(),
        output_dir=nowhere,
        manifest_path=nowhere / "transfer_manifest.json",
        dataset_name="",
        tasks=(),
        delivered_to=None,
        gpusrv_host="",
    )


@dataclass
class CameBack:
    new: int = 0
    changed: int = 0
    completed: int = 0
    trigger: Any = None
    items: tuple[Any, ...] = ()

    @property
    def worked(self) -> bool:
        return bool(self.new)


@dataclass
class World:
    """What the three stages answer, one after the other; an error is raised."""

    transfer: list[Any] = field(default_factory=list)
    come_back: list[Any] = field(default_factory=list)
    train: list[Any] = field(default_factory=list)
    given: dict[str, Any] = field(default_factory=dict)

    def next(self, answers: list[Any], nothing: Any) -> Any:
        found = answers.pop(0) if answers else nothing
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    monkeypatch.chdir(tmp_path)
    answers = World()

    def transfer(call: Call, **options: Any) -> Any:
        answers.given |= options
        return answers.next(answers.transfer, Transferred())

    def returning(call: Call, **options: Any) -> Callable[[], Any]:
        answers.given |= options
        return lambda: answers.next(answers.come_back, CameBack())

    def retraining(call: Call, **options: Any) -> Callable[[], Any]:
        return lambda: answers.next(answers.train, RetrainResult("nothing", "store"))

    monkeypatch.setattr(firebase_transfer, "firebase_transfer", transfer)
    monkeypatch.setattr(firebase_return, "ReturnStep", returning)
    monkeypatch.setattr(retrain, "RetrainStep", retraining)
    return answers


def test_each_step_says_what_it_did_and_that_nothing_waits_only_once(stages: World) -> None:
    said: list[tuple[str, str]] = []
    stages.transfer = [Transferred(3, 1)]
    stages.come_back = [CameBack(5, 1, 5, trigger=type("T", (), {"count": 12}), items=(1,))]
    made = RetrainResult("trained", "store", version="abc", promoted=True, verdict=Verdict("first", ""))
    stages.train = [made, None]
    steps = loop_steps(Call(), lambda name, words: said.append((name, words)), limit=7, priority=2)
    assert [[step() for _ in range(3)] for step in steps.values()] == [[True, False, False]] * 3
    assert said == [
        ("transfer", "3 captures transferred, 1 failed"),
        ("transfer", "no capture waits"),
        (
            "return",
            "5 corrections new, 1 changed, 5 captures completed, retraining triggered by 12, 1 not taken",
        ),
        ("return", "no finished job waits"),
        ("retrain", "model abc in service now: there is no champion to compare with"),
        ("retrain", "another process retrains"),
        ("retrain", "no trigger waits"),
    ]
    assert (stages.given["limit"], stages.given["priority"], stages.given["look_at"]) == (7, 2, None)
    assert stages.given["trigger_retraining"] is True


def test_one_that_fails_recovers_while_the_others_go_on(stages: World) -> None:
    stop, said = threading.Event(), []
    gone = ServerUnreachableError("the store does not answer", "Wait.")
    stages.transfer = [gone, gone, Transferred(2, 0)]

    def say(name: str, words: str) -> None:
        said.append((name, words))
        if "2 captures transferred" in words:
            stop.set()

    guard = threading.Timer(30, stop.set)
    guard.start()
    done = watch_together(loop_steps(Call(), say), 0.02, stop, say)
    guard.cancel()
    assert done.exit_code == 0
    assert done.watches["transfer"].failures == 2
    assert done.watches["return"].failures == done.watches["retrain"].failures == 0
    assert ("return", "no finished job waits") in said


def test_captures_that_wait_for_their_pictures_are_told_once(stages: World) -> None:
    said: list[tuple[str, str]] = []
    waiting = Transferred(0, 0, Item("a", "waits", "there is no such file"))
    stages.transfer = [waiting, waiting]
    step = loop_steps(Call(), lambda name, words: said.append((name, words)))["transfer"]
    assert [step(), step()] == [False, False]
    assert said == [("transfer", "no picture of the capture that is first is there yet")]


def test_among_many_it_says_of_how_many_and_whom_it_waits_for(stages: World) -> None:
    said: list[tuple[str, str]] = []
    stages.transfer = [
        replace(Transferred(3), passed_over=9),
        replace(Transferred(), with_people=3),
        replace(Transferred(2), with_people=3),  # of a transfer that was killed
    ]
    steps = loop_steps(Call(), lambda name, words: said.append((name, words)), limit=3, look_at=12)
    assert [steps["transfer"]() for _ in range(3)] == [True, False, True]
    assert [words for _, words in said] == [
        "3 captures transferred, the best of 12 looked at",
        "people are at 3 that were chosen; others are chosen when they are done",
        "2 captures transferred; people are at 3 that were chosen; others are chosen when they are done",
    ]
    assert (stages.given["look_at"], stages.given["patient"]) == (12, True)
    with pytest.raises(UsageError, match="of 3 captures that are looked at 3 cannot be chosen"):
        loop_steps(Call(), lambda *_: None, limit=3, look_at=3)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_status_is_one_line_on_a_terminal_and_lines_elsewhere() -> None:
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        line = StatusLine(stream)
        line.say("transfer", "3 captures transferred")
        assert line.marking("retrain", lambda: True)()
        line.say("retrain", "no trigger waits")
        line.end()
    assert "\n" not in terminal.getvalue().removesuffix("\n")
    assert "retrain*: ..." in terminal.getvalue()
    assert "transfer: 3 captures transferred (" in terminal.getvalue()
    lines = file.getvalue().splitlines()
    assert [line.split(" (")[0] for line in lines] == [
        "transfer: 3 captures transferred",
        "retrain: no trigger waits",
    ]
    hidden = Terminal()
    StatusLine(hidden, hidden=True).say("a", "b")
    assert hidden.getvalue() == ""


def started(*words: str, more: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(REPOSITORY / "src"), os.environ.get("PYTHONPATH", "")])
    options = [part for text in world.call(*more).overrides for part in ("-o", text)]
    known = {key: value for key, value in os.environ.items() if not key.startswith("CVAT_")}
    return subprocess.Popen(
        [sys.executable, "-m", "agir_cvtoolkit", *words, *options],
        env={**known, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 300
    while not what():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.integration
@pytest.mark.slow
def test_the_process_works_and_ends_cleanly_on_sigterm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = world.store()
    world.correct(store, range(4))
    world.trigger(store)
    store.create(Capture("waiting", 0.1, 9, taken=world.START), world.picture(50))
    process = started("firebase", "run", "--output-dir", "annotations", "--priority", "8")

    def all_done() -> bool:
        moved = store.get(["waiting"])["waiting"].status == "in_progress"
        return moved and store.triggers()[0].status == "completed"

    wait_for(all_done, process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=300)
    # Without credentials for CVAT nothing can return; the two others worked nevertheless.
    assert process.returncode == 1, (out, err)
    assert "return: ended: no" in err
    assert "transfer: 1 capture transferred" in err
    assert Path("annotations/waiting.jpg").is_file()
    assert "Traceback" not in err


@pytest.mark.integration
@pytest.mark.slow
def test_a_watching_retrain_ends_cleanly_on_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = world.store()
    world.correct(store, range(4))
    process = started("retrain", "--watch")
    world.trigger(store)
    wait_for(lambda: store.triggers()[0].status == "completed", process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, ""), (out, err)
    assert "Stopped after" in out


@pytest.mark.integration
@pytest.mark.slow
def test_a_stop_in_the_middle_of_a_training_gives_the_trigger_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = world.store()
    world.correct(store, range(4))
    world.trigger(store)
    process = started("retrain", "--watch", more=("pose_train.steps=100000", "pose_train.save_every=1"))

    def training() -> bool:
        return any(Path("outputs/runs/retrain").glob("*/model/last.ckpt"))

    wait_for(training, process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, (out, err)
    (trigger,) = store.triggers()
    assert (trigger.status, trigger.reason) == ("pending", "it was interrupted")
