"""What was chosen, and what is under way, on SQLite and on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from agir_cvtoolkit.ledger import CorrectionRow, Ledger, PushedFrame, PushedTask, PushKey, SelectionRow

KEY = PushKey("http://cvat", 1, None, "Round 1", "segmentations")


def row(unit_id: str, batch: int = 1, rank: int = 1, region: str | None = None) -> SelectionRow:
    record_id = unit_id.partition("@")[0]
    return SelectionRow(
        "run", batch, unit_id, record_id, region, rank == 1, rank, 0.5, "random", "drawn at random", 0, "m"
    )


def push(ledger: Ledger, *units: str) -> None:
    push_id = ledger.open_push(KEY, "run")
    task = PushedTask(push_id, len(ledger.tasks_of_push(push_id)) + 1, "t", "run", "planned", None, None)
    ledger.plan_task(task)
    frames = [
        PushedFrame(push_id, task.ordinal, number, unit, f"{unit}.png", f"{unit:0<64}", 8, 8, "p")
        for number, unit in enumerate(units)
    ]
    ledger.task_filled(replace(task, task_id=task.ordinal), frames)


def correction(record_id: str, outcome: str, label: str) -> CorrectionRow:
    return CorrectionRow(
        "http://cvat", "run", 1, 1, 0, record_id, outcome, label, label, "mask",
        None, None, None, None, None, None, "2026-01-01",
    )  # fmt: skip


def test_a_batch_that_nobody_sent_is_replaced_and_one_that_was_sent_stays(url: str, out_root: Path) -> None:
    with Ledger.open(url, out_root) as ledger:
        ledger.record_selection("run", 1, [row("a"), row("b", rank=2)])
        ledger.record_selection("run", 1, [row("a"), row("b", rank=2)])
        assert [one.unit_id for one in ledger.selections("run")] == ["a", "b"]
        assert len([e for e in ledger.events_of_record("a") if e.kind == "selected"]) == 1
        ledger.record_selection("run", 2, [row("b", 2), row("c", 2, 2)])
        assert [(one.batch, one.unit_id) for one in ledger.selections()] == [(2, "b"), (2, "c")]
        push(ledger, "b")
        ledger.record_selection("run", 3, [row("d", 3)])
        assert [(one.batch, one.unit_id) for one in ledger.selections("run")] == [(2, "b"), (3, "d")]
        assert ledger.selections("other") == []
        assert ledger.batches_of("a") == set()
        assert ledger.batches_of("b") == {("run", 2)}
        assert ledger.selections("run")[0].chosen_at


def test_what_is_in_a_task_is_under_way(url: str, out_root: Path) -> None:
    with Ledger.open(url, out_root) as ledger:
        assert ledger.under_way().units == frozenset()
        push(ledger, "a", "b@0,0,8x8")
        found = ledger.under_way()
    assert found.units == {"a", "b@0,0,8x8"}
    assert found.contents == {f"{'a':0<64}", f"{'b@0,0,8x8':0<64}"}


def test_regions_of_a_record_and_what_became_of_labels(url: str, out_root: Path) -> None:
    with Ledger.open(url, out_root) as ledger:
        ledger.record_selection("run", 1, [row("a@0,0,8x8", region="0,0,8x8"), row("b", rank=2)])
        assert ledger.regions_of_record("a") == ["a@0,0,8x8"]
        assert ledger.regions_of_record("b") == []
        rows = [
            correction("a", "accepted", "crop"),
            correction("a", "edited", "weed"),
            correction("b", "deleted", "weed"),
        ]
        ledger.record_corrections("http://cvat", "run", 1, rows)
        assert ledger.outcomes_by_label() == {
            "crop": {"accepted": 1},
            "weed": {"deleted": 1, "edited": 1},
        }
        assert ledger.records_by_label() == {"crop": 1, "weed": 1}
        ledger.forget_record("b", "gone")
        assert [one.unit_id for one in ledger.selections()] == ["a@0,0,8x8"]
