"""DeepLabCut's table of labelled frames: ``CollectedData_<scorer>.csv``.

Three header rows (``scorer``, ``bodyparts``, ``coords``), then one row for each frame: its path relative to the table
(in one column, or in newer tables in three), x and y of each part, empty where it is not visible. Format:
https://deeplabcut.github.io/DeepLabCut/docs/standardDeepLabCut_UserGuide.html
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.poses import ABSENT, Keypoint, Pose


@dataclass(frozen=True)
class LabelledFrame:
    """One frame of a table.

    Attributes:
        path: of the picture.
        pose: in pixels of it.
    """

    path: Path
    pose: Pose


@dataclass(frozen=True)
class LabelledFrames:
    """A table.

    Attributes:
        joints: names, in the order of the table.
        frames: in the order of the table.
    """

    joints: tuple[str, ...]
    frames: tuple[LabelledFrame, ...]


def read_deeplabcut(table: Path) -> LabelledFrames:
    """Read a table of one animal.

    Raises:
        DataError: it is no such table, or a coordinate is no number.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            rows = [row for row in csv.reader(stream) if row]
        parts = next(row for row in rows[:4] if row[0] == "bodyparts")
        names = next(row for row in rows[:5] if row[0] == "coords")
        first = names.index("x")
    except (OSError, UnicodeError, csv.Error, StopIteration, ValueError) as error:
        raise DataError(
            f"{table} is no table of DeepLabCut's",
            "It begins with three header rows: scorer, bodyparts, coords.",
        ) from error
    joints = tuple(parts[first::2])
    if len(set(joints)) != len(joints):
        raise DataError(f"{table} names a part twice", "Tables of several animals are not read; split them.")
    frames = tuple(
        LabelledFrame(_inside(table.parent, row[:first]), _pose(table, row[first:], joints))
        for row in rows[rows.index(names) + 1 :]
    )
    return LabelledFrames(joints, frames)


def _inside(folder: Path, cells: list[str]) -> Path:
    path = Path(*PureWindowsPath(*[cell for cell in cells if cell]).parts)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{path} lies outside the folder of its table", "Paths are relative to the table.")
    # A table lies beside its frames or above the folder that it names.
    return next((p for p in (folder / path, folder / path.name) if p.is_file()), folder / path)


def _pose(table: Path, cells: list[str], joints: tuple[str, ...]) -> Pose:
    try:
        values = [float(cell) if cell.strip() else math.nan for cell in cells]
        pairs = list(zip(values[::2], values[1::2], strict=True))
        points = {
            joint: Keypoint(x, y) if math.isfinite(x) and math.isfinite(y) else ABSENT
            for joint, (x, y) in zip(joints, pairs, strict=True)
        }
    except ValueError as error:
        raise DataError(
            f"{table}: {error}", "Each part has one x and one y; empty where not visible."
        ) from error
    return Pose(points)
