"""Corrections as people read them."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from agir_cvtoolkit.ledger import CorrectionRow, Ledger
from agir_cvtoolkit.runs import Run, start_run
from agir_cvtoolkit.stages._correction_line import corrections_line
from agir_cvtoolkit.stages._correction_report import PLOT, TABLE, report_corrections
from agir_cvtoolkit.stages._pulled import PulledFrame, PulledTask, write_frame_map

ROW = CorrectionRow(
    server="http://s",
    run_id="run",
    task_id=1,
    job_id=11,
    frame=0,
    record_id="MD_1",
    outcome="edited",
    label="weed",
    label_before="weed",
    kind="mask",
    iou=0.8,
    boundary_px=1.5,
    moved_points=None,
    moved_px=None,
    changed_points=None,
    annotator=None,
    updated_date="2026-01-01T00:00:00Z",
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return start_run(tmp_path / "outputs" / "runs", "run")


def store(run: Run, frames: int) -> None:
    stored = tuple(PulledFrame(n, f"MD_{n}", f"{n}.jpg", 8, 6, "ab", 11, 1, None) for n in range(frames))
    write_frame_map(
        PulledTask(1, "Round1", "http://s/tasks/1", run.path("cvat_downloads", "1_Round1"), stored)
    )


def test_table_picture_and_figures_speak_of_the_frames_that_are_there(run: Run, tmp_path: Path) -> None:
    with Ledger.open(None, tmp_path / "outputs" / "runs") as ledger:
        assert report_corrections(run, ledger, "http://s") is None
        rows = [ROW, replace(ROW, outcome="added", label_before=None, iou=None), replace(ROW, frame=1)]
        ledger.record_corrections("http://s", "run", 11, rows)
        store(run, 1)
        figures = report_corrections(run, ledger, "http://s")
        assert report_corrections(run, ledger, "http://other") is None
    assert figures is not None
    assert (figures["edited"], figures["added"], figures["mean_iou"]) == (1, 1, 0.8)
    with run.path(TABLE).open(newline="", encoding="utf-8") as stream:
        table = list(csv.DictReader(stream))
    assert [(row["record_id"], row["outcome"], row["iou"]) for row in table] == [
        ("MD_1", "edited", "0.8000"),
        ("MD_1", "added", ""),
    ]
    assert "nobody assigned" in run.path(PLOT).read_text(encoding="utf-8")


def test_one_line() -> None:
    figures = {"proposals": 12, "accepted": 7, "share_accepted": 0.5833, "edited": 4, "mean_iou": 0.834}
    assert corrections_line(figures | {"deleted": 1, "added": 2}) == (
        "12 proposals: 7 accepted (58%), 4 edited (IoU 0.83), 1 deleted; 2 added"
    )
    assert corrections_line({"proposals": 1, "accepted": 1, "share_accepted": 1.0}) == (
        "1 proposal: 1 accepted (100%)"
    )
    assert corrections_line({}) == "0 proposals: 0 accepted"
