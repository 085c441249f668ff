"""Rounds: which state may follow which, and that none stands for what did not happen."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agir_cvtoolkit.errors import LedgerError, UsageError
from agir_cvtoolkit.ledger import (
    NEXT,
    STATES,
    Ledger,
    PushedTask,
    PushKey,
    RoundRow,
    SelectionRow,
    may_follow,
)

ME, OTHER = "me", "another"
KEY = PushKey("http://s", 7, None, "Round1", "segmentations")
RUN = "loop/barley-001"


def later(seconds: float = 60) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.fixture
def opened(ledger: Ledger) -> RoundRow:
    ledger.take_loop("barley", "segmentation", {"count": 3}, ME, later())
    ledger.record_selection(
        RUN, 1, [SelectionRow(RUN, 1, "r", "r", None, True, 1, None, "random", "", 0, "m")]
    )
    return ledger.open_round("barley", ME, RUN, {"wanted": 3})


def push(ledger: Ledger, *, done: bool = True) -> None:
    task = PushedTask(ledger.open_push(KEY, RUN), 0, "t", RUN, "planned", 1, None)
    ledger.plan_task(task)
    if done:
        ledger.task_done(task, {})


def at(ledger: Ledger) -> str:
    return ledger.rounds("barley")[-1].state


def test_only_one_table_says_what_may_follow() -> None:
    assert set(NEXT) | {"failed"} == set(STATES)
    legal = {(a, b) for a in STATES for b in STATES if may_follow(a, b, "pulled")}
    ends = {"promoted", "rejected", "deferred"}
    assert legal == {
        *((a, b) for a, following in NEXT.items() for b in following),
        *((a, "failed") for a in set(STATES) - ends - {"failed"}),
        ("failed", "pulled"),
    }


def test_a_round_goes_through_its_states_with_the_facts(ledger: Ledger, opened: RoundRow) -> None:
    ledger.move_round(opened, "selected", ME, figures={"chosen": 3})
    push(ledger)
    ledger.move_round(opened, "pushed", ME)
    ledger.move_round(opened, "in_annotation", ME, tell="batch_ready", channels=("url", "command"))
    ledger.move_round(opened, "pulled", ME)
    ledger.record_model("v1", "/m", "unet", RUN, {})
    assert at(ledger) == "trained"
    ledger.record_evaluation("v1", {"test_iou": 0.5}, "abc")
    assert at(ledger) == "evaluated"
    ledger.promote("v1")
    (row,) = ledger.rounds("barley")
    assert (row.state, row.is_ended) == ("promoted", True)
    assert row.figures == {"wanted": 3, "chosen": 3, "version": "v1", "test_set": "abc"}
    moves = [event.detail["to"] for event in ledger.round_events("barley") if event.kind == "state"]
    assert moves == [
        "opened", "selected", "pushed", "in_annotation", "pulled", "trained", "evaluated", "promoted",
    ]  # fmt: skip
    assert ledger.open_round("barley", ME, "loop/barley-002", {}).number == 2


@pytest.mark.parametrize(
    ("through", "to", "said"),
    [
        ((), "pushed", "cannot follow"),
        (("selected", "failed"), "pushed", "cannot follow"),
        (("selected",), "pushed", "not all in CVAT"),
        (("selected",), "trained", "cannot follow"),
    ],
)
def test_no_state_without_its_fact(
    ledger: Ledger, opened: RoundRow, through: tuple[str, ...], to: str, said: str
) -> None:
    push(ledger, done=False)
    for state in through:
        ledger.move_round(opened, state, ME)  # type: ignore[arg-type]  # they are
    before = ledger.rounds("barley")
    with pytest.raises(LedgerError, match=said):
        ledger.move_round(opened, to, ME)  # type: ignore[arg-type]
    assert ledger.rounds("barley") == before


def test_a_model_that_nobody_trained_tested_or_promoted_moves_nothing(
    ledger: Ledger, opened: RoundRow
) -> None:
    push(ledger)
    for state in ("selected", "pushed", "in_annotation", "pulled"):
        ledger.move_round(opened, state, ME)
    for to in ("trained", "promoted"):
        with pytest.raises(LedgerError):
            ledger.move_round(opened, to, ME)
    ledger.record_model("v9", "/m", "unet", "another run", {})
    ledger.promote("v9")
    assert at(ledger) == "pulled"


def test_a_state_is_reached_once(ledger: Ledger, opened: RoundRow) -> None:
    for _ in range(2):
        ledger.move_round(opened, "selected", ME, tell="batch_ready", channels=("url",))
    assert [event.kind for event in ledger.round_events("barley")] == ["state", "state", "batch_ready"]


def test_what_failed_goes_on_where_it_did(ledger: Ledger, opened: RoundRow) -> None:
    ledger.move_round(opened, "selected", ME)
    failed = ledger.move_round(
        opened, "failed", ME, figures={"reason": "no room"}, tell="failed", channels=("command",)
    )
    assert (failed.state, failed.failed_in, failed.stands) == ("failed", "selected", "selected")
    with pytest.raises(LedgerError, match="cannot follow"):
        ledger.move_round(failed, "opened", ME)
    again = ledger.move_round(failed, "selected", ME)
    assert (again.state, again.failed_in) == ("selected", None)
    ledger.move_round(
        again, "failed", ME, figures={"reason": "no room"}, tell="failed", channels=("command",)
    )
    assert len(ledger.untold_events("barley")) == 2


def test_a_round_of_nothing_is_taken_back(ledger: Ledger, opened: RoundRow) -> None:
    ledger.drop_round(opened, ME)
    assert ledger.rounds("barley") == []
    opened = ledger.open_round("barley", ME, RUN, {})
    ledger.move_round(opened, "selected", ME)
    with pytest.raises(LedgerError, match="selected"):
        ledger.drop_round(opened, ME)


def test_one_of_two_has_a_loop(ledger: Ledger, opened: RoundRow) -> None:
    with pytest.raises(UsageError, match="held by me"):
        ledger.take_loop("barley", "segmentation", {}, OTHER, later())
    assert not ledger.keep_loop("barley", OTHER, later())
    assert ledger.take_loop("barley", "segmentation", {}, ME, later()).plan == {"count": 3}
    ledger.take_loop("barley", "segmentation", {}, ME, later(-1))
    assert ledger.take_loop("barley", "segmentation", {}, OTHER, later()).owner == OTHER
    for change in (
        lambda: ledger.move_round(opened, "selected", ME),
        lambda: ledger.note_round(opened, ME, {}),
        lambda: ledger.drop_round(opened, ME),
        lambda: ledger.open_round("barley", ME, RUN, {}),
    ):
        with pytest.raises(UsageError, match="taken over by another"):
            change()
    ledger.leave_loop("barley", ME, None)
    assert ledger.keep_loop("barley", OTHER, later())
    ledger.leave_loop("barley", OTHER, "3 rounds are done")
    assert ledger.loops()[0].ended == "3 rounds are done"
    with pytest.raises(UsageError, match="about segmentation"):
        ledger.take_loop("barley", "pose", {}, ME, later())
    assert ledger.take_loop("barley", "segmentation", {}, ME, later()).ended is None


def test_of_many_who_take_a_loop_at_once_one_has_it(url: str, out_root: Path) -> None:
    with Ledger.open(url, out_root):
        pass
    gate, got = threading.Barrier(4), []

    def take(owner: str) -> None:
        with Ledger.open(url, out_root) as opened:
            gate.wait()
            try:
                opened.take_loop("barley", "segmentation", {}, owner, later())
            except (UsageError, LedgerError):
                return
            got.append(owner)

    threads = [threading.Thread(target=take, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Ledger.open(url, out_root) as opened:
        assert [opened.loops()[0].owner] == got


def test_an_event_waits_until_each_channel_was_told(ledger: Ledger, opened: RoundRow) -> None:
    for _ in range(2):
        ledger.tell_once("barley", 1, "round_finished", {"state": "promoted"}, ("command", "url"))
    (event,) = ledger.untold_events("barley")
    assert (event.kind, event.detail, event.pending) == (
        "round_finished",
        {"state": "promoted"},
        ("command", "url"),
    )
    ledger.record_delivery(event.event_id, "url", "503", delivered=False)
    assert ledger.untold_events("barley")[0].pending == ("command", "url")
    ledger.record_delivery(event.event_id, "url", "200", delivered=True)
    assert ledger.untold_events("barley")[0].pending == ("command",)
    ledger.record_delivery(event.event_id, "command", "exit code 0", delivered=True)
    assert ledger.untold_events("barley") == []


def test_nothing_is_chosen_unless_the_ledger_knows_it(ledger: Ledger) -> None:
    ledger.take_loop("wheat", "pose", {}, ME, later())
    row = ledger.open_round("wheat", ME, "loop/wheat-001", {})
    with pytest.raises(LedgerError, match="nothing was chosen"):
        ledger.move_round(row, "selected", ME)
    moved = ledger.move_round(row, "selected", ME, run_id="transfer-1", training_run="retrain/t")
    assert (moved.run_id, moved.training_run) == ("transfer-1", "retrain/t")
    assert ledger.round_of_run("retrain/t") == moved == ledger.round_of_run("transfer-1")
    assert ledger.round_of_run("loop/wheat-001") is None
