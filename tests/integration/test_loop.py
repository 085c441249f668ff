"""Whole rounds against the server: two undisturbed, and three that are killed at random."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.ledger import Ledger, RoundRow
from agir_cvtoolkit.sandbox.oracle import correct_task
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages import evaluate as evaluate_stage
from agir_cvtoolkit.stages.loop import LoopOptions, LoopResult, loop
from agir_cvtoolkit.stages.report import report
from agir_cvtoolkit.stages.trigger import trigger_explain
from agir_cvtoolkit.stages.webhooks import webhook_add

from .annotator import LABEL
from .plants import draw
from .workspace import CREDENTIALS, Workspace

pytestmark = pytest.mark.integration

NAME = "plots"
SELECT = {"embeddings": "none", "near_duplicates": None}
"""The plots look alike on purpose."""


@pytest.fixture
def pool(empty: Workspace) -> Workspace:
    """Nine plots in a run of their own, and settings under which a round takes seconds."""
    pytest.importorskip("lightning")
    for number in range(9):
        empty.add(f"plot_{number}", draw(number * 7), number=number)
    empty.database()
    empty.conf("select", SELECT)
    empty.conf(
        "loop", {"test": {"least": 1}, "poll_s": 0.2, "budget": {"patience": None}, "judge_first": False}
    )
    empty.conf("retrain", {"judgement": {"least_pictures": 2, "resamples": 200}})
    # Near-duplicates would all be on one side.
    empty.conf("preprocess", {"size": {"height": 64, "width": 64}, "split": {"near_duplicates": None}})
    empty.cli("query", "--db", "semif", "-o", "project.name=pool")
    return empty


def correct(workspace: Workspace, tasks: list[int]) -> None:
    for task in tasks:
        correct_task(
            workspace.sandbox.url,
            CREDENTIALS,
            task,
            lambda name: workspace.plots[Path(name).stem].truth,
            only_open=True,
        )


def rounds_of(workspace: Workspace) -> list[RoundRow]:
    with Ledger.open_to_read(None, workspace.root / "outputs" / "runs") as ledger:
        return ledger.rounds(NAME)


def turned(workspace: Workspace, options: LoopOptions, call: Call | None = None) -> LoopResult:
    """Run the loop to its end; the person works whenever it waits for her."""
    while True:
        result = loop(NAME, options, call, wait=False)
        if result.state == "ended":
            return result
        (newest,) = result.rounds[-1:]
        assert newest.state == "in_annotation"
        correct(workspace, newest.figures["tasks"])


def test_two_rounds_end_to_end(pool: Workspace) -> None:
    heard = pool.root / "heard.jsonl"
    script = f"import sys; print(sys.stdin.read(), file=open({str(heard)!r}, 'a'))"
    command = json.dumps([sys.executable, "-c", script])
    call = Call(overrides=(f"loop.hook.command={command}",))
    options = LoopOptions(rounds=2, count=4, pool="pool")

    first = loop(NAME, options, call, wait=False)
    assert (first.state, first.rounds[0].state) == ("waiting", "in_annotation")
    assert "1 job not finished" in first.why
    assert loop(NAME, options, call, wait=False).rounds[0].state == "in_annotation"
    assert len(pool.tasks()) == 1
    (told,) = trigger_explain(NAME).loops
    assert (told.round, told.words) == (1, "a model is trained when the batch is finished")

    result = turned(pool, options, call)
    assert result.why == "2 rounds are done"
    assert [row.figures["chosen"] for row in result.rounds] == [4, 4]
    assert result.rounds[0].state == "promoted", "there was no champion"
    assert result.rounds[1].state in {"promoted", "rejected"}
    assert result.rounds[1].figures["predictor"] == result.rounds[0].figures["version"]
    assert result.champion in {row.figures["version"] for row in result.rounds}
    assert result.pictures == 8

    frames = [frame["name"] for task in pool.tasks() for frame in pool.frames(task["id"])]
    assert len(frames) == len(set(frames)) == 8, "nothing is chosen twice"
    control = set(result.rounds[0].figures["control"])
    assert len(control) == 4, "the first round is drawn at random"
    tested = [name for row in result.rounds for name in row.figures["tested"]]
    assert set(tested) <= control | set(result.rounds[1].figures["control"])
    members = Ledger.open(None, pool.root / "outputs" / "runs").split_members("segmentation")
    assert sorted(members.values()) == ["test"] * len(tested)

    events = [json.loads(line)["event"] for line in heard.read_text().splitlines()]
    assert events == ["batch_ready", "batch_finished", "round_finished"] * 2
    pool.sandbox.forget_requests()
    again = loop(NAME, options, call)
    assert (again.state, len(again.rounds)) == ("ended", 2)
    assert pool.writes() == []
    assert len(heard.read_text().splitlines()) == 6, "nobody is told twice"

    shown = pool.cli("loop", NAME, "--rounds", "2", "--dry-run")
    assert "Next: nothing: 2 rounds are done" in shown.stdout
    spoken = json.loads(pool.cli("trigger", "explain", NAME, "--json").stdout)
    assert spoken["loops"][0]["words"] == "nothing is with people now"


def test_the_first_model_takes_over_only_if_it_is_better_than_what_predicted_before(
    pool: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One epoch is worse than excess green; killed after that was measured, nothing is predicted again."""

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    pool.conf("train", {"max_epochs": 1})
    call = Call(overrides=("loop.judge_first=true", "loop.test.least=2"))
    options = LoopOptions(rounds=2, count=4, pool="pool")
    waiting = loop(NAME, options, call, wait=False)
    correct(pool, waiting.rounds[0].figures["tasks"])
    with monkeypatch.context() as patched:
        patched.setattr(evaluate_stage, "keep_evaluation", killed)
        with pytest.raises(Killed):
            loop(NAME, options, call, wait=False)
    masks = pool.root / "outputs" / "runs" / "loop" / f"{NAME}-001" / "evaluation" / "incumbent" / "masks"
    there = {path: path.stat().st_mtime_ns for path in masks.iterdir()}
    result = loop(NAME, options, call, wait=False)
    first, second = result.rounds
    assert (first.state, first.figures["incumbent"]) == ("rejected", "excess_green")
    assert len(there) == first.figures["test_pictures"] == 2
    assert {path: path.stat().st_mtime_ns for path in masks.iterdir()} == there
    assert first.figures["score"] < first.figures["incumbent_score"] == first.figures["champion_score"]
    low, high = first.figures["interval"]
    assert low <= first.figures["difference"] <= high <= 0
    assert "than excess_green beyond chance" in first.figures["words"]
    assert (result.champion, result.incumbent, second.figures["predictor"]) == ("", "excess_green", "")
    with Ledger.open_to_read(None, pool.root / "outputs" / "runs") as ledger:
        assert ledger.models()[0].test_set
        assert ledger.champion() is None
    shown = pool.cli("loop", NAME, "--rounds", "2", "--dry-run").stdout
    assert re.search(r"Round 1: rejected, 4 chosen, mean IoU .* \(excess_green \d\.\d+\)\. worse than", shown)
    assert f"In service: excess_green, mean IoU with background {result.score:.3f}" in shown
    name = first.figures["tested"][0]
    assert f"round 1 of loop {NAME}: rejected, worse than excess_green" in pool.cli("why", name).stdout
    page = report(pool.root / "report.html", loop=NAME).path.read_text(encoding="utf-8")
    assert "not better than excess_green" in page
    assert "had to beat excess_green, which predicted until then" in page

    correct(pool, second.figures["tasks"])
    call = Call(overrides=("loop.judge_first=false",))
    result = loop(NAME, options, call, wait=False)
    assert [row.state for row in result.rounds] == ["rejected", "promoted"]
    assert result.rounds[1].figures["words"] == "there is no champion to compare with"
    assert (result.incumbent, result.champion) == ("", result.rounds[1].figures["version"])


def test_a_policy_trains_in_the_middle_of_a_batch_or_later(pool: Workspace) -> None:
    """Of two jobs one is enough for three corrections; the next round's labels are learned from with the other one's."""
    pool.conf("cvat_upload", {"segment_size": 3})
    call = Call(overrides=("loop.policy.corrections=3", "loop.test.least=1"))
    options = LoopOptions(rounds=2, count=5, pool="pool")
    loop(NAME, options, call, wait=False)
    (task,) = pool.tasks()
    (told,) = trigger_explain(NAME, call).loops
    assert told.words == "does not train yet; missing: 3 more corrections"
    first_job = pool.jobs(task["id"])[0]
    pool.set_job(int(first_job["id"]), state="completed")
    result = loop(NAME, options, call, wait=False)
    assert [row.state for row in result.rounds] == ["promoted", "in_annotation"]
    assert result.rounds[0].figures["why"] == "corrections"
    assert result.rounds[0].figures["labelled"] == 3

    pool.complete(task["id"])
    correct(pool, result.rounds[1].figures["tasks"])
    result = loop(NAME, options, call, wait=False)
    assert (result.state, result.why) == ("ended", "2 rounds are done")
    assert result.rounds[1].figures["why"] == "corrections"


def test_too_few_corrections_wait_for_the_next_round(pool: Workspace) -> None:
    call = Call(overrides=("loop.policy.corrections=6",))
    result = turned(pool, LoopOptions(rounds=2, count=4, pool="pool"), call)
    assert [row.state for row in result.rounds] == ["deferred", "promoted"]
    assert result.rounds[0].figures["why"] == "2 more corrections"


class Person(threading.Thread):
    """Corrects whatever is ready, until she is sent home."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(daemon=True)
        self.workspace = workspace
        self.home = threading.Event()

    def run(self) -> None:
        while not self.home.wait(0.2):
            rounds = rounds_of(self.workspace)
            if rounds and rounds[-1].state == "in_annotation":
                correct(self.workspace, rounds[-1].figures["tasks"])


def end_state(workspace: Workspace) -> dict[str, Any]:
    """What must not depend on kills: without times, and without the numbers that the server gives."""
    left_out = {"asked", "tasks", "pulls"}
    with Ledger.open_to_read(None, workspace.root / "outputs" / "runs") as ledger:
        rounds = ledger.rounds(NAME)
        rows = ledger.corrections_by_pull([row.run_id for row in rounds])
        champion = ledger.champion()
        return {
            "rounds": [
                (row.number, row.state, {k: v for k, v in row.figures.items() if k not in left_out})
                for row in rounds
            ],
            "moves": [(e.number, e.kind, e.detail.get("to")) for e in ledger.round_events(NAME)],
            "chosen": [[one.unit_id for one in ledger.selections(row.run_id)] for row in rounds],
            "tasks": sorted(
                [frame["name"] for frame in workspace.frames(task["id"])] for task in workspace.tasks()
            ),
            "shapes": sorted(
                sorted(json.dumps(shape["points"]) for shape in workspace.shapes(task["id"]))
                for task in workspace.tasks()
            ),
            "corrections": sorted((row.run_id, row.record_id, row.outcome, row.iou) for row in rows),
            "models": sorted((model.version, sorted(model.metrics.items())) for model in ledger.models()),
            "champion": champion.version if champion else None,
        }


def test_a_webhook_wakes_the_watch(pool: Workspace) -> None:
    project = pool.project(LABEL)
    pool.conf("cvat_upload", {"project_id": project})
    loop_conf = {"test": {"least": 1}, "poll_s": 600, "budget": {"patience": None}, "judge_first": False}
    pool.conf("loop", loop_conf)
    webhook_add("http://127.0.0.1:9/", project_id=project, ping=False)  # makes the secret
    words = ("loop", NAME, "--pool", "pool", "--rounds", "1", "--count", "3")
    staying = pool.start(*words, "--watch", "--listen", "127.0.0.1:0", "--json")
    try:
        assert staying.stderr is not None
        line = next(line for line in staying.stderr if "Listening" in line)
        webhook_add(line.split()[-1], project_id=project, ping=False)
        while not (rounds := rounds_of(pool)) or rounds[-1].state != "in_annotation":
            assert staying.poll() is None
            time.sleep(0.1)
        assert "Correct in CVAT and complete the jobs" in pool.cli("status").stdout
        time.sleep(1)  # it has looked, and sleeps
        correct(pool, rounds[-1].figures["tasks"])
        spoken, _ = staying.communicate(timeout=600)
    finally:
        staying.kill()
        staying.wait()
    assert staying.returncode == 0
    assert json.loads(spoken)["why"] == "1 round is done"
    assert rounds_of(pool)[0].state == "promoted"


def events_of(workspace: Workspace) -> int:
    root = workspace.root / "outputs" / "runs"
    if not Ledger.is_there(None, root):
        return 0
    with Ledger.open_to_read(None, root) as ledger:
        return len(ledger.round_events(NAME))


def killed(workspace: Workspace, events: int, seconds: float, *words: str) -> None:
    """Start a loop and kill it so long after the ledger knows so many events."""
    process = workspace.start(*words)
    while events_of(workspace) < events and process.poll() is None:
        time.sleep(0.05)
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=seconds)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
def test_killed_five_times_it_ends_as_undisturbed(
    pool: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    words = ("loop", NAME, "--pool", "pool", "--rounds", "3", "--count", "3", "--quiet")
    person = Person(pool)
    person.start()
    pool.cli(*words)
    person.home.set()
    person.join()
    expected = end_state(pool)
    assert expected["rounds"][0][1] == "promoted"
    events = events_of(pool)

    # The same workspace without its past.
    for task in pool.tasks():
        assert pool.plain("DELETE", f"/api/tasks/{task['id']}").status == 204
    (pool.root / "outputs").rename(tmp_path_factory.mktemp("past") / "outputs")
    pool.cli("query", "--db", "semif", "-o", "project.name=pool")
    rng = random.Random(7)
    person = Person(pool)
    person.start()
    # Not too near to the end: the last one would be ended by itself before it can be killed.
    for moment in sorted(rng.sample(range(events - 6), 5)):
        killed(pool, moment, rng.uniform(0.0, 1.0), *words)
    pool.cli(*words)
    person.home.set()
    person.join()
    found = end_state(pool)
    for key, value in expected.items():
        assert found[key] == value, key
