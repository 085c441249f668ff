"""A loop, killed at every boundary of its states: what was done is never done twice, and it ends as undisturbed."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.config import Budget, Loop, Settings
from agir_cvtoolkit.errors import DataError, ServerUnreachableError, UsageError
from agir_cvtoolkit.ledger import Ledger, PushedTask, PushKey, RoundRow, SelectionRow
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages._loop_hooks import Hooks
from agir_cvtoolkit.stages._loop_lease import hold_loop
from agir_cvtoolkit.stages._loop_steps import EXHAUSTED, LoopSteps, Step
from agir_cvtoolkit.stages._round_work import CameBack, Chosen, Figures, LoopPlace
from agir_cvtoolkit.stages.loop import LoopOptions, LoopResult, loop, looping
from agir_cvtoolkit.stages.status import status

SCORES = {1: 0.4, 2: 0.6, 3: 0.5}


class Killed(BaseException):
    """The process is gone."""


def chosen(run_id: str, name: str) -> SelectionRow:
    return SelectionRow(run_id, 1, name, name, None, False, 1, None, "random", "first", 0, "m")


@dataclass
class World:
    """What is outside of the loop, and stays when it is killed.

    Attributes:
        pool: records that nobody has labelled.
        batches: records by run.
        looks: how often people were looked at since the last batch.
        done: how often each thing was really done.
    """

    pool: list[str] = field(default_factory=lambda: [f"r{n}" for n in range(7)])
    batches: dict[str, list[str]] = field(default_factory=dict)
    looks: int = 0
    done: Counter[str] = field(default_factory=Counter)


@dataclass
class Work:
    """Does what the stages do, with the ledger as they leave it; each thing once, as they are.

    Attributes:
        moment: called before and after each thing that can be seen from outside.
    """

    world: World
    ledger: Ledger
    moment: Callable[[str], None] = lambda name: None

    def choose(self, row: RoundRow, rounds: Sequence[RoundRow], count: int) -> Chosen:
        self.moment("choose")
        taken = {name for run, batch in self.world.batches.items() if run != row.run_id for name in batch}
        if row.run_id not in self.world.batches:
            self.world.done["choose"] += 1
            self.world.batches[row.run_id] = [name for name in self.world.pool if name not in taken][:count]
        batch = self.world.batches[row.run_id]
        self.ledger.record_selection(row.run_id, 1, [chosen(row.run_id, name) for name in batch])
        self.moment("chosen")
        return Chosen(len(batch), {"control": batch[:1]})

    def push(self, row: RoundRow) -> Figures:
        self.moment("push")
        key = PushKey("http://s", 1, None, row.run_id, "segmentations")
        push_id = self.ledger.open_push(key, row.run_id)
        if not self.ledger.tasks_of_push(push_id):
            self.world.done["push"] += 1
            self.world.looks = 0
            task = PushedTask(push_id, 0, "t", row.run_id, "planned", row.number, None)
            self.ledger.plan_task(task)
            self.moment("task planned")
        task = self.ledger.tasks_of_push(push_id)[0]
        if task.state != "done":
            self.ledger.task_done(task, {})
        self.moment("pushed")
        return {"tasks": [row.number]}

    def look(self, row: RoundRow, rounds: Sequence[RoundRow]) -> CameBack:
        self.moment("look")
        self.world.looks += 1
        finished = self.world.looks > 1
        return CameBack(0 if finished else 1, finished, (row.number,) if finished else ())

    def ask(self, row: RoundRow, rounds: Sequence[RoundRow]) -> Figures:
        self.moment("ask")
        return {"pulls": row.number, "tested": []}

    def train(self, row: RoundRow, rounds: Sequence[RoundRow]) -> Figures:
        self.moment("train")
        version = f"v{row.number}"
        if self.ledger.model(version) is None:
            self.world.done["train"] += 1
            self.ledger.record_model(version, "/m", "unet", row.run_id, {})
        self.moment("trained")
        return {"version": version}

    def evaluate(self, row: RoundRow) -> Figures:
        self.moment("evaluate")
        champion = self.ledger.champion()
        score = SCORES[row.number]
        best = max((SCORES[n] for n in range(1, row.number)), default=0.0)
        self.ledger.record_evaluation(f"v{row.number}", {"test_iou": score}, "abc")
        self.moment("evaluated")
        better = champion is None or champion.version == f"v{row.number}" or score > best
        return {
            "takes_over": better,
            "outcome": "better" if better else "worse",
            "score": score,
            "champion_score": score if better else best,
        }

    def promote(self, row: RoundRow) -> None:
        self.moment("promote")
        self.world.done["promote"] += 1
        self.ledger.promote(f"v{row.number}")
        self.moment("promoted")


@dataclass
class Bench:
    out_root: Path
    world: World = field(default_factory=World)
    settings: Settings = field(default_factory=Settings)

    def run(self, moment: Callable[[str], None] = lambda name: None, *, patient: bool = False) -> list[Step]:
        """Step until the end; people are waited for by looking again."""
        steps: list[Step] = []
        with (
            Ledger.open(None, self.out_root) as ledger,
            hold_loop(self.settings, "barley", {}) as lease,
            Hooks(self.settings, "barley", lambda: "s") as hooks,
        ):
            place = LoopPlace("barley", Call(), self.settings, ledger, "pool")
            place.__dict__["calling"] = lambda *words: Call()
            work = Work(self.world, ledger, moment)
            loop_steps = LoopSteps(place, work, lease, hooks, patient=patient)
            while not steps or steps[-1].state != "ended":
                moment("step")
                steps.append(loop_steps.step())
        return steps

    def told(self) -> tuple[Any, ...]:
        """What must be the same however often it was killed."""
        with Ledger.open(None, self.out_root) as ledger:
            rounds = [
                (row.number, row.state, row.run_id, _timeless(row.figures)) for row in ledger.rounds("barley")
            ]
            moves = [(e.number, e.kind, e.detail.get("to")) for e in ledger.round_events("barley")]
            champion = ledger.champion()
            (found,) = ledger.loops()
        return rounds, moves, champion and champion.version, found.ended, found.owner, self.world.batches


def _timeless(figures: Any) -> dict[str, Any]:
    return {key: value for key, value in figures.items() if key != "asked"}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    settings = Settings(loop=Loop(count=3, budget=Budget(patience=None), lease_s=60))
    return Bench(settings.io.out_root, settings=settings)


def undisturbed(path: Path, settings: Settings) -> tuple[tuple[Any, ...], Counter[str], list[str]]:
    moments: list[str] = []
    found = Bench(settings.io.out_root, settings=settings)
    found.run(moments.append)
    return found.told(), found.world.done, moments


def test_rounds_follow_each_other_until_the_pool_is_exhausted(bench: Bench) -> None:
    steps = bench.run()
    assert steps[-1].words == EXHAUSTED
    rounds, _, champion, ended, owner, batches = bench.told()
    assert [(number, state, len(batches[run])) for number, state, run, _ in rounds] == [
        (1, "promoted", 3),
        (2, "promoted", 3),
        (3, "rejected", 1),
    ]
    assert (champion, ended, owner) == ("v2", EXHAUSTED, None)
    assert bench.world.done == {"choose": 4, "push": 3, "train": 3, "promote": 2}


def test_killed_at_any_moment_it_ends_as_undisturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(loop=Loop(count=3, budget=Budget(rounds=2), lease_s=60))
    (tmp_path / "quiet").mkdir()
    monkeypatch.chdir(tmp_path / "quiet")
    expected, done, moments = undisturbed(tmp_path / "quiet", settings)
    assert len(moments) > 40
    with Ledger.open(None, tmp_path / "empty" / "runs"):
        pass
    # All moments of the first round; the second one tells whether it matters that there was one before.
    second = next(at for at, name in enumerate(moments) if name == "choose" and "promoted" in moments[:at])
    for at in (*range(second), *range(second, len(moments), 5)):
        folder = tmp_path / str(at)
        (folder / "outputs").mkdir(parents=True)
        shutil.copy(tmp_path / "empty" / "ledger.db", folder / "outputs" / "ledger.db")
        monkeypatch.chdir(folder)
        bench = Bench(settings.io.out_root, settings=settings)
        seen: list[str] = []

        def killer(name: str, at: int = at, seen: list[str] = seen) -> None:
            seen.append(name)
            if len(seen) == at + 1:
                raise Killed

        with suppress(Killed):
            bench.run(killer)
        bench.run()
        told = bench.told()
        # Where people were looked at once more, nothing else is other.
        assert told == expected, moments[at]
        assert {k: n for k, n in bench.world.done.items() if k != "promote"} == {
            k: n for k, n in done.items() if k != "promote"
        }, moments[at]


@pytest.mark.parametrize(
    ("budget", "why"),
    [
        (Budget(rounds=1), "1 round is done"),
        (Budget(pictures=4), "4 pictures were chosen"),
        (Budget(target=0.55, patience=None), "reaches 0.600"),
        (Budget(patience=1), "no further gain: the last model"),
    ],
)
def test_a_budget_ends_it(bench: Bench, budget: Budget, why: str) -> None:
    bench.settings = bench.settings.model_copy(
        update={"loop": bench.settings.loop.model_copy(update={"budget": budget})}
    )
    bench.world.pool += [f"s{n}" for n in range(9)]
    (*_, last) = bench.run()
    assert why in last.words


def test_what_fails_is_said_once_and_tried_again(bench: Bench) -> None:
    def no_room(name: str) -> None:
        if name == "train":
            raise DataError("nothing to learn from")

    for _ in range(2):
        with pytest.raises(DataError):
            bench.run(no_room)
    with Ledger.open(None, bench.out_root) as ledger:
        (row,) = ledger.rounds("barley")
        assert (row.state, row.failed_in, row.figures["reason"]) == (
            "failed",
            "pulled",
            "nothing to learn from",
        )
        assert [e.kind for e in ledger.round_events("barley")].count("failed") == 1
    bench.run()
    assert bench.told()[0][0][1] == "promoted"


def test_a_server_that_is_away_is_no_failure_for_who_tries_again(bench: Bench) -> None:
    def away(name: str) -> None:
        if name == "look":
            raise ServerUnreachableError("no connection")

    with pytest.raises(ServerUnreachableError):
        bench.run(away, patient=True)
    with Ledger.open(None, bench.out_root) as ledger:
        assert ledger.rounds("barley")[0].state == "in_annotation"
    with pytest.raises(ServerUnreachableError):
        bench.run(away)
    with Ledger.open(None, bench.out_root) as ledger:
        assert ledger.rounds("barley")[0].state == "failed"


def test_two_of_one_name(bench: Bench) -> None:
    with hold_loop(bench.settings, "barley", {}), pytest.raises(UsageError, match="already running"):
        bench.run()
    with (
        hold_loop(bench.settings, "wheat", {}),
        Ledger.open(None, bench.out_root) as ledger,
    ):
        assert ledger.loop("wheat") is not None


def test_a_lease_that_is_lost_stops_it(bench: Bench) -> None:
    def steal(name: str) -> None:
        if name == "push":
            with Ledger.open(None, bench.out_root) as ledger:
                found = ledger.loop("barley")
                assert found is not None
                ledger.leave_loop("barley", str(found.owner), None)

    with pytest.raises(UsageError, match="taken over by nobody"):
        bench.run(steal)
    with Ledger.open(None, bench.out_root) as ledger:
        assert ledger.rounds("barley")[0].state == "selected"


def test_a_call_without_a_pool_says_how_to_name_one(bench: Bench) -> None:
    with pytest.raises(UsageError, match="has no pool"):
        loop("barley")
    with pytest.raises(UsageError, match="neither a run nor a folder"):
        loop("barley", LoopOptions(pool="nowhere"))
    for name in ("", "a/b", "..", "-x", "a" * 61):
        with pytest.raises(UsageError, match="no name of a loop"):
            loop(name, LoopOptions(pool="nowhere"))


def test_a_count_is_kept_until_a_call_names_another(bench: Bench) -> None:
    Path("pictures").mkdir()

    def count(options: LoopOptions, *overrides: str) -> int:
        with looping("barley", options, Call(overrides=overrides)) as steps:
            return steps._place.settings.loop.count

    assert count(LoopOptions(pool="pictures")) == Settings().loop.count
    assert count(LoopOptions(), "loop.count=9") == 9
    assert count(LoopOptions(count=3)) == 3
    assert count(LoopOptions()) == 3
    with Ledger.open(None, bench.out_root) as ledger:
        found = ledger.loop("barley")
    assert found is not None
    assert found.plan["count"] == 3


@pytest.mark.parametrize(
    ("kind", "said"), [("segmentation", "mean IoU with background 0.589"), ("pose", "mean PCK 0.589")]
)
def test_a_score_is_called_by_its_name(kind: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    from agir_cvtoolkit.cli.loop import _show

    _show(LoopResult("barley", kind, "ended", "1 round is done", (), "v1", 0.589))
    assert f"In service: v1, {said}" in capsys.readouterr().out


def test_a_rehearsal_says_what_comes_next(bench: Bench) -> None:
    def stop(name: str) -> None:
        if name == "look":
            raise Killed

    call = Call(dry_run=True)
    assert loop("barley", call=call).why == "round 1 begins"
    with suppress(Killed):
        bench.run(stop)
    before = bench.told()
    assert loop("barley", call=replace(call)).why == "round 1 is in_annotation; it waits for people"
    assert bench.told() == before
    (shown,) = status().loops
    assert (shown.name, shown.round, shown.state, shown.words) == (
        "barley", 1, "in_annotation", "it waits for people",
    )  # fmt: skip
    bench.run()
    assert status().loops[0].words == EXHAUSTED
