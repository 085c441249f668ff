"""Corrections as people read them."""

from __future__ import annotations

import csv
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from agir_cvtoolkit.ledger import CorrectionRow, Ledger
from agir_cvtoolkit.runs import Run, start_run
from agir_cvtoolkit.stages._correction_line import corrections_line
from agir_cvtoolkit.stages._correction_report import FIGURES, PLOT, TABLE, report_corrections
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


class Watched:
    """A ledger of which is counted how many rows are read, and how many are held at once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._held: weakref.WeakSet[CorrectionRow] = weakref.WeakSet()
        self.read = self.most_held = 0

    def state_of_corrections(self, run_id: str, server: str) -> tuple[object, ...]:
        return self._ledger.state_of_corrections(run_id, server)

    def corrections_of_run(self, run_id: str, server: str) -> Iterator[CorrectionRow]:
        for row in self._ledger.corrections_of_run(run_id, server):
            self.read += 1
            self._held.add(row)
            self.most_held = max(self.most_held, len(self._held))
            yield row

    def report(self, run: Run) -> tuple[dict[str, object] | None, int]:
        """Return the figures and how many rows it took."""
        self.read = 0
        figures = report_corrections(run, cast("Ledger", self), "http://s")
        return figures, self.read


def written(run: Run) -> list[tuple[int, int]]:
    return [(path.stat().st_ino, path.stat().st_mtime_ns) for path in (run.path(TABLE), run.path(PLOT))]


def test_nothing_is_read_or_written_again_unless_something_has_changed(run: Run, tmp_path: Path) -> None:
    with Ledger.open(None, tmp_path / "outputs" / "runs") as ledger:
        watched = Watched(ledger)
        ledger.record_corrections("http://s", "run", 11, [ROW])
        store(run, 1)
        figures, read = watched.report(run)
        assert (figures is not None, read) == (True, 1)
        before = written(run)
        assert watched.report(run) == (figures, 0)
        assert written(run) == before

        ledger.record_corrections("http://s", "run", 11, [replace(ROW, outcome="accepted", iou=1.0)])
        figures, read = watched.report(run)
        assert figures is not None
        assert (figures["accepted"], read) == (1, 1)
        assert written(run) != before
        assert watched.report(run) == (figures, 0)

        store(run, 0)
        assert watched.report(run) == (None, 1)
        store(run, 1)
        assert watched.report(run) == (figures, 1)


@pytest.mark.parametrize("lost", [TABLE, PLOT, FIGURES])
def test_what_was_removed_or_not_yet_written_is_written(run: Run, tmp_path: Path, lost: str) -> None:
    with Ledger.open(None, tmp_path / "outputs" / "runs") as ledger:
        ledger.record_corrections("http://s", "run", 11, [ROW])
        store(run, 1)
        watched = Watched(ledger)
        figures, _ = watched.report(run)
        run.path(lost).unlink()
        assert watched.report(run) == (figures, 1)
        assert run.path(lost).is_file()
        run.path(FIGURES).write_text("{", encoding="utf-8")
        assert watched.report(run) == (figures, 1)


def test_rows_are_written_one_by_one(run: Run) -> None:
    jobs = 400
    frames = tuple(PulledFrame(n, f"MD_{n}", f"{n}.jpg", 8, 6, "ab", n, 1, None) for n in range(jobs))
    folder = run.path("cvat_downloads", "1_Round1")
    write_frame_map(PulledTask(1, "Round1", "http://s/tasks/1", folder, frames))
    with Ledger.open("sqlite://", Path("unused")) as ledger:
        for number in range(jobs):
            row = replace(ROW, job_id=number, frame=number, record_id=f"MD_{number}")
            ledger.record_corrections("http://s", "run", number, [row])
        watched = Watched(ledger)
        figures, read = watched.report(run)
    assert figures is not None
    assert (figures["edited"], read) == (jobs, jobs)
    assert watched.most_held <= jobs // 2
    with run.path(TABLE).open(newline="", encoding="utf-8") as stream:
        assert [line["frame"] for line in csv.DictReader(stream)] == [str(n) for n in range(jobs)]


def test_one_line() -> None:
    figures = {"proposals": 12, "accepted": 7, "share_accepted": 0.5833, "edited": 4, "mean_iou": 0.834}
    assert corrections_line(figures | {"deleted": 1, "added": 2}) == (
        "12 proposals: 7 accepted (58%), 4 edited (IoU 0.83), 1 deleted; 2 added"
    )
    assert corrections_line({"proposals": 1, "accepted": 1, "share_accepted": 1.0}) == (
        "1 proposal: 1 accepted (100%)"
    )
    assert corrections_line({}) == "0 proposals: 0 accepted"
