"""A stand-in for the person: corrects every open job as a folder of true masks says."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.pictures import load_mask

from .handwork import OracleReport, session
from .oracle import correct_task


@dataclass(frozen=True)
class StandInReport:
    """What the stand-in did.

    Attributes:
        url: of the server.
        tasks: how many had an open job; all their jobs are completed now.
        hand: counts of frames and shapes.
        dry_run: nothing was changed, and nothing counted but tasks.
    """

    url: str
    tasks: int
    hand: OracleReport
    dry_run: bool = False


def annotate(url: str, credentials: tuple[str, str], folder: Path, *, dry_run: bool = False) -> StandInReport:
    """Correct and complete all open jobs of a server, towards known masks.

    Jobs that are completed already stay as they are. Pictures without a true mask keep their proposals.

    Args:
        url: of the server.
        credentials: user name and password.
        folder: with ``records.csv``, whose columns ``image_id`` and ``mask_file`` name a mask for each picture.
        dry_run: only look which tasks have open jobs.

    Raises:
        DataError: no such table, or it lacks a column.
        RemoteError: the server failed or refused.
        MaskError: a mask of another size than its picture.
    """
    masks = _true_masks(folder)

    def truth(name: str) -> NDArray[np.uint8] | None:
        path = masks.get(Path(name).stem)
        return None if path is None else load_mask(path)

    with session(url, credentials) as browser:
        jobs = browser.pages("/api/jobs?type=annotation")
    tasks = sorted({int(job["task_id"]) for job in jobs if job["state"] != "completed"})
    if dry_run:
        return StandInReport(url, len(tasks), OracleReport(), dry_run=True)
    reports = [correct_task(url, credentials, task, truth, only_open=True) for task in tasks]
    counts = {name: sum(getattr(report, name) for report in reports) for name in vars(OracleReport())}
    return StandInReport(url, len(tasks), OracleReport(**counts))


def _true_masks(folder: Path) -> dict[str, Path]:
    records = folder / "records.csv"
    if not records.is_file():
        raise DataError(
            f"{folder} has no records.csv", "Name the folder that holds it beside the true masks."
        )
    with records.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or not {"image_id", "mask_file"} <= set(rows[0]):
        raise DataError(f"{records} names no masks", "It needs the columns image_id and mask_file.")
    return {row["image_id"]: folder / row["mask_file"] for row in rows}
