"""DeepLabCut: ``config.yaml`` and ``labeled-data/<split>/CollectedData_<scorer>.csv`` with the pictures beside it.

A row for each picture, those with an animal first; two columns for each joint, empty where a joint is absent; with
several animals in a picture a header of individuals more. ``deeplabcut.convertcsv2h5`` makes the HDF5 file of it.
https://deeplabcut.github.io/DeepLabCut/docs/standardDeepLabCut_UserGuide.html
"""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import PurePosixPath
from typing import IO

import yaml

from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.labelled import LabelEntry, LabelledPicture, LabelledSet
from agir_cvtoolkit.shapes import Skeleton

from . import areas
from .writing import DEFAULT_SPLIT, Losses, Writing

SCORER = "agir"


def write_deeplabcut(labelled: LabelledSet, out: Writing) -> None:
    """Write a set.

    Raises:
        UsageError: there is not exactly one label of skeletons.
    """
    labels = [label for label in labelled.labels if label.joints]
    if len(labels) != 1:
        raise UsageError(
            f"DeepLabCut takes one kind of skeleton, here are {len(labels)}", "Leave some out: --labels NAME="
        )
    label, tables = labels[0], dict[str, _Table]()
    try:
        for picture in labelled:
            folder = picture.split or DEFAULT_SPLIT
            if folder not in tables:
                tables[folder] = _Table(label, folder, out.losses)
            name = _flat(picture.file_name)
            out.place(picture, f"labeled-data/{folder}/{name}")
            tables[folder].add(picture, name)
        most = max((table.most for table in tables.values()), default=1)
        for folder, table in tables.items():
            target = out.path(f"labeled-data/{folder}/CollectedData_{SCORER}.csv")
            with target.open("w", encoding="utf-8", newline="") as stream:
                table.write(stream, most)
    finally:
        for table in tables.values():
            table.close()
    out.path("config.yaml").write_text(_config(label, labelled.name, most), encoding="utf-8")


class _Table:
    def __init__(self, label: LabelEntry, folder: str, losses: Losses) -> None:
        self._label, self._folder, self._losses = label, folder, losses
        self._rows = tempfile.TemporaryFile("w+", encoding="utf-8", newline="")  # noqa: SIM115 - see `close`
        self._writer = csv.writer(self._rows)
        self.most = 1

    def add(self, picture: LabelledPicture, name: str) -> None:
        self._losses.add("tags", len(picture.tags))
        shapes, boxes = areas.with_boxes(picture.shapes)
        self._losses.add("boxes around skeletons", len(boxes))
        values: list[object] = []
        count = 0
        for shape in shapes:
            if not isinstance(shape, Skeleton):
                self._losses.add(f"shapes of kind {shape.kind}")
                continue
            count += 1
            values += self._coordinates(shape)
        self.most = max(self.most, count)
        self._writer.writerow(["labeled-data", self._folder, name, *values])

    def _coordinates(self, shape: Skeleton) -> list[object]:
        by_name = {element.label: element for element in shape.elements}
        found: list[object] = []
        if shape.attributes:
            self._losses.add("attributes")
        if shape.confidence is not None:
            self._losses.add("confidences")
        for joint in self._label.joints:
            element = by_name.get(joint)
            if element is None or element.outside or not areas.is_finite(element):
                found += ["", ""]
                continue
            self._losses.add("occlusions of joints", int(element.occluded))
            self._losses.add("confidences of single joints", int(element.confidence is not None))
            found += [repr(float(value)) for value in element.points[0]]
        return found

    def write(self, stream: IO[str], most: int) -> None:
        joints = self._label.joints
        columns = 2 * len(joints) * most
        names = [f"individual{i + 1}" for i in range(most) for _ in range(2 * len(joints))]
        writer = csv.writer(stream)
        writer.writerow(["scorer", "", "", *[SCORER] * columns])
        if most > 1:
            writer.writerow(["individuals", "", "", *names])
        writer.writerow(["bodyparts", "", "", *[joint for joint in joints for _ in range(2)] * most])
        writer.writerow(["coords", "", "", *["x", "y"] * (len(joints) * most)])
        # pandas takes a first row without a number for the names of the index, and DeepLabCut would lose that picture.
        for labelled in (True, False):
            self._rows.seek(0)
            for row in csv.reader(self._rows):
                if any(row[3:]) is labelled:
                    writer.writerow([*row, *[""] * (columns - (len(row) - 3))])

    def close(self) -> None:
        self._rows.close()


def _flat(file_name: str) -> str:
    """Return a name without folders: DeepLabCut has one level of them."""
    return "__".join(PurePosixPath(file_name).parts)


def _config(label: LabelEntry, name: str, most: int) -> str:
    several = most > 1
    content: dict[str, object] = {
        "Task": name,
        "scorer": SCORER,
        "multianimalproject": several,
        "identity": False,
        "individuals": [f"individual{i + 1}" for i in range(most)] if several else None,
        "uniquebodyparts": [] if several else None,
        "multianimalbodyparts" if several else "bodyparts": list(label.joints),
        "skeleton": [list(link) for link in label.links],
        "video_sets": {},
    }
    if several:
        content["bodyparts"] = "MULTI!"
    buffer = io.StringIO()
    yaml.safe_dump(
        {k: v for k, v in content.items() if v is not None}, buffer, sort_keys=False, allow_unicode=True
    )
    return buffer.getvalue()
