"""The corrections of a run as people read them: a table and a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from agir_cvtoolkit.ledger import CorrectionRow, Ledger
from agir_cvtoolkit.reporting.bars import Bar, write_bars
from agir_cvtoolkit.runs import Run, write_text

from ._corrections import summary
from ._pulled import PulledTask, read_frame_maps

TABLE = "cvat_downloads/corrections.csv"
PLOT = "plots/corrections.svg"
_COLOURS = {
    "accepted": "#2b8a3e",
    "edited": "#1c6fb8",
    "relabelled": "#7048a8",
    "deleted": "#c0392b",
    "added": "#d9822b",
    "unknown": "#868e96",
}


def report_corrections(run: Run, ledger: Ledger, server: str) -> dict[str, object] | None:
    """Write the table and the picture of what became of the proposals that lie corrected in a run.

    Frames that have left the run's frame maps (deleted on the server) do not count.

    Returns:
        The figures; None where nothing was pushed that came back.

    Raises:
        DataError: a frame map is damaged.
        LedgerError: the ledger cannot be used.
    """
    rows = _present(ledger.corrections_of_run(run.run_id), server, read_frame_maps(run))
    if not rows:
        return None
    figures = summary(rows)
    write_text(run.path(TABLE), _table(rows))
    write_bars(run.path(PLOT), "What people did with the proposals", _bars(figures), _COLOURS)
    return figures


def _present(rows: Sequence[CorrectionRow], server: str, tasks: Sequence[PulledTask]) -> list[CorrectionRow]:
    frames = {(task.task_id, frame.job_id, frame.frame) for task in tasks for frame in task.frames}
    return [row for row in rows if row.server == server and (row.task_id, row.job_id, row.frame) in frames]


def _table(rows: Sequence[CorrectionRow]) -> str:
    text = io.StringIO()
    names = [field.name for field in fields(CorrectionRow) if field.name not in {"server", "run_id"}]
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        values = asdict(row)
        for name in ("iou", "boundary_px", "moved_px"):
            values[name] = None if values[name] is None else f"{values[name]:.4f}"
        writer.writerow(values)
    return text.getvalue()


def _bars(figures: Mapping[str, Any]) -> list[Bar]:
    groups = [("all", figures)]
    groups += [(f"label {name}", found) for name, found in figures["by_label"].items()]
    groups += [(f"by {name}", found) for name, found in figures["by_annotator"].items()]
    return [Bar(name, {part: found[part] for part in _COLOURS}, _note(found)) for name, found in groups]


def _note(figures: Mapping[str, Any]) -> str:
    parts = []
    if figures["share_accepted"] is not None:
        parts.append(f"{figures['share_accepted']:.0%} accepted")
    if figures["mean_iou"] is not None:
        parts.append(f"edited IoU {figures['mean_iou']:.2f}")
    return ", ".join(parts)
