"""Conditions of a policy: what each asks for, and what it says is missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agir_cvtoolkit.config import Policy
from agir_cvtoolkit.errors import ConfigError, UsageError
from agir_cvtoolkit.ledger import CorrectionRow, Ledger, Pull, RoundRow, SelectionRow
from agir_cvtoolkit.stages._policy import decide
from agir_cvtoolkit.stages._policy_evidence import Condition, Evidence, Slice, evidence_of
from agir_cvtoolkit.stages.loop import LoopOptions, loop
from agir_cvtoolkit.stages.trigger import TriggerResult, trigger_explain

FEW = Evidence(
    effort={"a": 0.1, "b": 0.3}, learned={"barley": 9}, pictures={"barley": 11, "vetch": 2}, days=3.0
)
FIRST = Slice(1, "v1", (0.9, 0.8, 0.9, 0.8, 0.85))


def only(policy: Policy, evidence: Evidence) -> Condition:
    (found,) = decide(policy, evidence).conditions
    return found


@pytest.mark.parametrize(
    ("policy", "evidence", "value", "missing"),
    [
        (Policy(corrections=2), FEW, 2, ""),
        (Policy(corrections=15), FEW, 2, "13 more corrections"),
        (Policy(corrections=3), FEW, 2, "1 more correction"),
        (Policy(effort=0.2), FEW, 0.2, ""),
        (Policy(effort=0.5), FEW, 0.2, "people change 20.0% of what is proposed, 50.0% are asked for"),
        (Policy(effort=0.5), Evidence(), None, "a picture that came back"),
        (Policy(class_pictures=2), FEW, 2, ""),
        (Policy(class_pictures=3), FEW, 2, "1 more picture of vetch"),
        (Policy(class_pictures=10), FEW, 11, ""),
        (Policy(class_pictures=10), Evidence(learned={"a": 10}, pictures={"a": 10}), None, "a class"),
        (Policy(age_days=3), FEW, 3.0, ""),
        (Policy(age_days=4.5), Evidence(days=3.0), 3.0, "1.5 more days and a correction"),
        (Policy(drift=True), Evidence(), None, "a control slice that came back"),
        (Policy(drift=True), Evidence(slices=(FIRST,)), 0.85, "a second control slice"),
        (
            Policy(drift=True),
            Evidence(slices=(Slice(1, "v1", (0.5,)),)),
            0.5,
            "4 more control pictures of round 1",
        ),
        (Policy(drift=True), Evidence(slices=(FIRST, Slice(2, "v1", (0.84,)))), 0.84, "not below"),
        (Policy(drift=True), Evidence(slices=(FIRST, Slice(2, "v1", (0.5,)))), 0.5, ""),
        (
            Policy(drift=True),
            Evidence(slices=(FIRST, Slice(2, "v2", (0.5,)))),
            0.5,
            "4 more control pictures",
        ),
    ],
)
def test_a_condition_says_what_is_missing(
    policy: Policy, evidence: Evidence, value: float | None, missing: str
) -> None:
    found = only(policy, evidence)
    assert found.value == (None if value is None else pytest.approx(value))
    assert found.fires == (not missing)
    assert missing in found.missing
    assert bool(found.missing) == bool(missing)


def test_any_or_all() -> None:
    both = {"corrections": 2, "effort": 0.9}
    some = decide(Policy(**both), FEW)
    assert (some.fires, some.words) == (True, "corrections")
    every = decide(Policy(combine="all", **both), FEW)
    assert not every.fires
    assert every.words.startswith("people change")
    none = decide(Policy(), FEW)
    assert (none.asked, none.fires, none.conditions) == (False, False, ())
    assert not decide(Policy(age_days=0.1), Evidence(days=1)).fires


def row(
    run: str, job: int, record: str, outcome: str, label: str = "weed", iou: float | None = None
) -> CorrectionRow:
    before = None if outcome == "added" else label
    return CorrectionRow(
        "http://s", run, 1, job, job, record, outcome, label, before, "mask", iou, None, None, None, None, None, "d"
    )  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(None, tmp_path / "outputs" / "runs")


def came_back(ledger: Ledger, run: str, job: int, *rows: CorrectionRow) -> None:
    ledger.record_pull(Pull("http://s", run, 1, job, "d", "completed", "annotation", 1, 1, "x"), {})
    ledger.record_corrections("http://s", run, job, rows)


def test_evidence_is_what_came_back_since_the_last_training(ledger: Ledger) -> None:
    now = datetime.now(UTC)
    with ledger:
        loop = ledger.take_loop("barley", "segmentation", {}, "me", now + timedelta(minutes=1))
        first = ledger.open_round("barley", "me", "r1", {"control": ["a", "b"], "predictor": ""})
        came_back(ledger, "r1", 1, row("r1", 1, "a", "accepted"), row("r1", 1, "a", "edited", iou=0.6))
        came_back(ledger, "r1", 2, row("r1", 2, "b", "deleted"))
        told = evidence_of(ledger, loop, [first], now + timedelta(days=2))
        assert told.effort == {"a": pytest.approx(0.2), "b": 1.0}
        assert (told.learned, told.pictures) == ({}, {"weed": 1})
        assert told.days == pytest.approx(2.0, abs=0.1)
        assert told.slices == (Slice(1, "", (0.8, 0.0)),)

        until = ledger.newest_pull(["r1"])
        ledger.record_selection(
            "r1", 1, [SelectionRow("r1", 1, "a", "a", None, True, 1, None, "random", "", 0, "m")]
        )
        chosen = ledger.move_round(first, "selected", "me", figures={"pulls": until})
        trained = RoundRow(**(vars(chosen) | {"state": "promoted"}))
        second = RoundRow(
            **(vars(chosen) | {"number": 2, "run_id": "r2", "state": "in_annotation", "figures": {}})
        )
        came_back(ledger, "r2", 3, row("r2", 3, "c", "added", "vetch"))
        told = evidence_of(ledger, loop, [trained, second])
        assert told.effort == {"c": 1.0}
        assert (told.learned, told.pictures) == ({"weed": 1}, {"vetch": 1, "weed": 1})


def test_without_a_loop_and_without_devices_no_store_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "FIRESTORE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    assert trigger_explain() == TriggerResult((), None)
    with pytest.raises(ConfigError):
        trigger_explain(captures=True)


def test_a_loop_that_cannot_be_leaves_nothing_in_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="has no pool"):
        loop("nopool")
    with pytest.raises(UsageError, match="neither a run nor a folder"):
        loop("nopool", LoopOptions(pool="nowhere"))
    assert trigger_explain(captures=False).loops == ()
