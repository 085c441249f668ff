"""The oracle: a simulated annotator who corrects a task towards known ground truth, over HTTP.

It knows nothing of the client: it logs in with a password, reads each job's annotations, changes only what is
wrong, saves as CVAT's own page does (changed shapes keep their ids), and sets the job to completed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.errors import LabelError, MaskError
from agir_cvtoolkit.masks import Runs, decode, encode
from agir_cvtoolkit.outlines import bridged, rasterize, regions

from .correction import BoolMask, BoxCorners, correct_boxes, correct_masks
from .handwork import Changes, Json, OracleReport, at_work, edited, new_shape, save_changes, session

__all__ = ["OracleReport", "correct_task", "no_label"]

Truth = Callable[[str], NDArray[np.uint8] | BoolMask | None]
LabelOf = Callable[[str], str | None]
BoxTruth = Callable[[str], Sequence[BoxCorners] | None]


def no_label(frame: str) -> str | None:
    """Say nothing of a frame's label: it is that of the proposals, or else the task's first that fits."""
    del frame
    return None


def correct_task(
    url: str,
    credentials: tuple[str, str],
    task_id: int,
    truth: Truth,
    label_of: LabelOf = no_label,
    *,
    class_labels: Mapping[int, str] | None = None,
    boxes: BoxTruth | None = None,
    tolerance_px: int = 2,
    complete: bool = True,
    only_open: bool = False,
    seed: int = 0,
) -> OracleReport:
    """Correct a task as a careful person would.

    Args:
        url: of the server.
        credentials: user name and password.
        task_id: the task.
        truth: gives the true mask of a frame by its name, bool or uint8 of shape (height, width), 0 is
            background; None leaves the frame's masks and polygons alone.
        label_of: gives the name of the label that all foreground of a frame has; a proposal with another
            label is given this one.
        class_labels: names of labels by class id, for masks of several classes; then `label_of` is not asked,
            and shapes of other labels are left alone.
        boxes: gives the true boxes of a frame as (left, top, right, bottom) in pixels; None leaves the
            frame's rectangles alone.
        tolerance_px: how far an outline may be off before it is corrected.
        complete: set each job to state ``completed`` at the end.
        only_open: leave jobs alone that are completed already.
        seed: of the hand's jitter on redrawn boxes, at most half the tolerance on each side.

    Returns:
        What was done, summed over the task's jobs.

    Raises:
        AuthenticationError: wrong credentials.
        RemoteError: the server failed or refused.
        LabelError: a label that the task does not have.
        MaskError: a truth of another size than its frame.
    """
    with session(url, credentials) as browser:
        frames = browser.get(f"/api/tasks/{task_id}/data/meta")["frames"]
        labels = browser.pages(f"/api/labels?task_id={task_id}")
        hand = _Hand(labels, truth, label_of, class_labels, boxes, tolerance_px, random.Random(seed))
        jobs = sorted(browser.pages(f"/api/jobs?task_id={task_id}"), key=lambda job: int(job["id"]))
        for job in jobs:
            if only_open and job["state"] == "completed":
                continue
            with at_work(browser, job):
                shapes = browser.get(f"/api/jobs/{job['id']}/annotations/")["shapes"]
                changes = Changes()
                for number in range(job["start_frame"], job["stop_frame"] + 1):
                    hand.correct(number, frames[number], [s for s in shapes if s["frame"] == number], changes)
                save_changes(browser, job["id"], changes)
            if complete:
                browser.patch(f"/api/jobs/{job['id']}", {"state": "completed"})
        return hand.report


class _Hand:
    """Corrects frame after frame and counts."""

    def __init__(
        self,
        labels: Sequence[Json],
        truth: Truth,
        label_of: LabelOf,
        class_labels: Mapping[int, str] | None,
        boxes: BoxTruth | None,
        tolerance: int,
        jitter: random.Random,
    ) -> None:
        self.report = OracleReport()
        self._labels = {str(label["name"]): label for label in labels}
        self._truth = truth
        self._label_of = label_of
        self._classes = class_labels
        self._boxes = boxes
        self._tolerance = tolerance
        self._jitter = jitter

    def correct(self, number: int, frame: Json, shapes: list[Json], changes: Changes) -> None:
        """Correct one frame."""
        size = (int(frame["width"]), int(frame["height"]))
        name = str(frame["name"])
        truth = self._truth(name)
        boxes = None if self._boxes is None else self._boxes(name)
        self._count(frames=int(truth is not None or boxes is not None))
        masks = [shape for shape in shapes if shape["type"] in {"mask", "polygon"}]
        if truth is not None:
            if truth.shape != (size[1], size[0]):
                raise MaskError(
                    f"the truth of {name} has shape {truth.shape}, its frame {size[1]}x{size[0]}",
                    "Give the truth of the picture that was uploaded.",
                )
            if self._classes is None:
                label = self._label(self._label_of(name)) or self._guessed(masks)
                self._masks(number, size, truth != 0, masks, label, changes)
            else:
                for class_id, label_name in self._classes.items():
                    label = self._label(label_name)
                    own = [shape for shape in masks if label is not None and shape["label_id"] == label["id"]]
                    self._masks(number, size, truth == class_id, own, label, changes)
        if boxes is not None:
            rectangles = [shape for shape in shapes if shape["type"] == "rectangle"]
            label = self._label(self._label_of(name)) or self._guessed(rectangles)
            self._rectangles(number, size, boxes, rectangles, label, changes)

    def _masks(
        self,
        number: int,
        size: tuple[int, int],
        truth: BoolMask,
        shapes: list[Json],
        label: Json | None,
        changes: Changes,
    ) -> None:
        proposals = [_pixels(shape, size) for shape in shapes]
        result = correct_masks(proposals, truth, self._tolerance)
        for shape, before, after in zip(shapes, proposals, result.kept, strict=True):
            relabelled = label is not None and shape["label_id"] != label["id"]
            if after is None:
                changes.deleted.append(shape)
                self._count(deleted=1)
            elif after is before and not relabelled:
                self._count(accepted=1)
            else:
                label_id = shape["label_id"] if label is None else label["id"]
                first, *more = _redrawn(shape["type"], after) if after is not before else [shape["points"]]
                changes.updated.append(edited(shape, first, label_id))
                changes.created += [new_shape(number, label_id, shape["type"], points) for points in more]
                self._count(edited=1)
        for mask in result.added:
            if label is None:
                raise LabelError(
                    f"frame {number} needs a label for masks and the task has none", "Give label_of."
                )
            kind = "mask" if label["type"] in {"any", "mask"} else "polygon"
            points = _redrawn(kind, mask)
            changes.created += [new_shape(number, label["id"], kind, one) for one in points]
            self._count(added=len(points))
        self._count(pixels_changed=result.pixels_changed)

    def _rectangles(
        self,
        number: int,
        size: tuple[int, int],
        truth: Sequence[BoxCorners],
        shapes: list[Json],
        label: Json | None,
        changes: Changes,
    ) -> None:
        proposals: list[BoxCorners] = [tuple(shape["points"]) for shape in shapes]
        result = correct_boxes(proposals, truth, self._tolerance)
        for shape, before, after in zip(shapes, proposals, result.kept, strict=True):
            if after is None:
                changes.deleted.append(shape)
                self._count(deleted=1)
            elif after == before and (label is None or shape["label_id"] == label["id"]):
                self._count(accepted=1)
            else:
                corners = list(before) if after == before else self._drawn(after, size)
                label_id = shape["label_id"] if label is None else label["id"]
                changes.updated.append(edited(shape, corners, label_id) | {"rotation": 0.0})
                self._count(edited=1)
        for box in result.added:
            if label is None:
                raise LabelError(
                    f"frame {number} needs a label for boxes and the task has none", "Give label_of."
                )
            changes.created.append(new_shape(number, label["id"], "rectangle", self._drawn(box, size)))
            self._count(added=1)

    def _drawn(self, box: BoxCorners, size: tuple[int, int]) -> list[float]:
        reach = self._tolerance / 2
        corners = [value + self._jitter.uniform(-reach, reach) for value in box]
        return [min(max(value, 0.0), float(size[i % 2])) for i, value in enumerate(corners)]

    def _label(self, name: str | None) -> Json | None:
        if name is None:
            return None
        if name not in self._labels:
            raise LabelError(f"Label '{name}' not in task", f"It has: {', '.join(self._labels)}")
        return self._labels[name]

    def _guessed(self, shapes: Sequence[Json]) -> Json | None:
        used = [shape["label_id"] for shape in shapes]
        if used:
            if len(set(used)) > 1:
                return None
            return next((label for label in self._labels.values() if label["id"] == used[0]), None)
        drawable = ("any", "mask", "polygon", "rectangle")
        return next((label for label in self._labels.values() if label["type"] in drawable), None)

    def _count(self, **more: int) -> None:
        known = vars(self.report)
        self.report = OracleReport(**{key: value + more.get(key, 0) for key, value in known.items()})


def _pixels(shape: Json, size: tuple[int, int]) -> BoolMask:
    points = shape["points"]
    if shape["type"] == "polygon":
        return rasterize([np.asarray(points, dtype=np.float64).reshape(-1, 2)], size)
    left, top, right, bottom = (int(value) for value in points[-4:])
    return decode(Runs(np.asarray(points[:-4], dtype=np.int32), (left, top, right, bottom)), size)


def _redrawn(kind: str, mask: BoolMask) -> list[list[float]]:
    """Return the points of the shapes that cover a mask: one mask, or one polygon per part."""
    if kind == "polygon":
        return [[float(v) for v in bridged(region).reshape(-1)] for region in regions(mask)]
    runs = encode(mask)
    if runs is None:
        return []
    return [[float(v) for v in (*runs.lengths.tolist(), *runs.box)]]
