"""Jumps in sequences: what a model says of one frame and not of those before and after it is likely wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from agir_cvtoolkit.poses import Pose, box_of, overall_confidence, read_poses
from agir_cvtoolkit.records import FieldValue, ManifestEntry
from agir_cvtoolkit.runs import Run

FOLDER_OF_FRAMES = "folder"
_FAR = 0.5
"""Of the animal's diagonal: a joint that is so far from where its neighbours in time are scores 1."""
_SHARE_OF_JOINTS = 0.9


def jumps(
    run: Run, entries: Sequence[ManifestEntry], sequence: str, order: str | None = None
) -> Mapping[str, float]:
    """Score how far each frame is from the middle between the frame before and the one after, in [0, 1].

    Of poses it is the distance of the joint that all but a tenth of the joints stay below, as a share of half the
    animal's diagonal; of masks the change of the foreground's area, as a share of the larger one. At the ends of a
    sequence the one neighbour counts.

    Args:
        run: that the entries are of.
        entries: in any order.
        sequence: the column whose value frames of one sequence share; `FOLDER_OF_FRAMES` where each has a folder.
        order: the column that orders them; None orders by record id.

    Returns:
        By record id, without frames that have no neighbour.

    Raises:
        DataError: a file of poses is damaged.
    """

    def film(entry: ManifestEntry) -> str:
        value = entry.label_values.get(sequence)
        if value in (None, "") and sequence == FOLDER_OF_FRAMES and entry.source_path:
            return str(Path(entry.source_path).parent)
        return "" if value is None else str(value)

    def place(entry: ManifestEntry) -> tuple[str, bool, float, str, str]:
        value = entry.label_values.get(order) if order is not None else entry.record_id
        return (film(entry), *_sortable(value), entry.record_id)

    there = [entry for entry in entries if film(entry)]
    found: dict[str, float] = {}
    for _, group in groupby(sorted(there, key=place), key=film):
        frames = list(group)
        said = [_said(run, entry) for entry in frames]
        for number, entry in enumerate(frames):
            beside = [said[n] for n in (number - 1, number + 1) if 0 <= n < len(said)]
            if beside:
                found[entry.record_id] = round(_jump(said[number], beside), 6)
    return found


def _sortable(value: FieldValue) -> tuple[bool, float, str]:
    """Return a key by which numbers come in their order, and before texts."""
    try:
        number = float(str(value))
    except ValueError:
        return True, 0.0, str(value)
    return (False, number, "") if math.isfinite(number) else (True, 0.0, str(value))


def _said(run: Run, entry: ManifestEntry) -> Pose | float:
    if entry.pose_path is None:
        return entry.foreground_share
    _, poses = read_poses(run.inside(entry.pose_path))
    return max(poses, key=overall_confidence, default=Pose())


def _jump(here: Pose | float, beside: Sequence[Pose | float]) -> float:
    if not isinstance(here, Pose):
        areas = [area for area in beside if not isinstance(area, Pose)]
        middle = sum(areas) / len(areas) if areas else here
        return abs(here - middle) / max(here, middle) if max(here, middle) > 0 else 0.0
    poses = [pose for pose in beside if isinstance(pose, Pose)]
    box = box_of(here)
    if box is None:
        return 0.0
    distances = []
    for name, point in here.there.items():
        others = [pose.there[name] for pose in poses if name in pose.there]
        if others:
            x, y = sum(o.x for o in others) / len(others), sum(o.y for o in others) / len(others)
            distances.append(math.hypot(point.x - x, point.y - y))
    if not distances:
        return 0.0
    far = sorted(distances)[min(len(distances) - 1, int(_SHARE_OF_JOINTS * len(distances)))]
    return min(1.0, far / (_FAR * math.hypot(box.width, box.height)))
