"""SLEAP: ``labels.slp``, an HDF5 file of skeletons, frames and points, and the pictures it names.

As ``sleap_io.save_slp`` lays it out, format 1.2. Coordinates there begin in the middle of the upper left pixel, half a
pixel from where ours do. https://io.sleap.ai
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from agir_cvtoolkit.errors import MissingExtraError, UsageError
from agir_cvtoolkit.labelled import LabelEntry, LabelledPicture, LabelledSet
from agir_cvtoolkit.shapes import Points, Skeleton

from . import areas
from .writing import Losses, Writing, in_split
from .yolo_writer import mirrored_by_name

FORMAT = 1.2
HALF_PIXEL = 0.5
_EDGE, _SYMMETRY = 1, 2
_POINT = np.dtype([("x", "f8"), ("y", "f8"), ("visible", "?"), ("complete", "?")])
_SURE_POINT = np.dtype([*_POINT.descr, ("score", "f8")])
_INSTANCE = np.dtype(
    [
        ("instance_id", "i8"), ("instance_type", "u1"), ("frame_id", "u8"), ("skeleton", "u4"), ("track", "i4"),
        ("from_predicted", "i8"), ("score", "f4"), ("point_id_start", "u8"), ("point_id_end", "u8"),
        ("tracking_score", "f4"),
    ]
)  # fmt: skip
_FRAME = np.dtype(
    [
        ("frame_id", "u8"), ("video", "u4"), ("frame_idx", "u8"), ("instance_id_start", "u8"),
        ("instance_id_end", "u8"),
    ]
)  # fmt: skip


def write_sleap(labelled: LabelledSet, out: Writing) -> None:
    """Write a set; pictures of one size are the frames of one video.

    Raises:
        MissingExtraError: h5py is not installed.
        UsageError: there is no skeleton.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("Writing SLEAP's files", "sleap") from error
    labels = [label for label in labelled.labels if label.joints]
    if not labels:
        raise UsageError("there is no skeleton to write for SLEAP", "Write coco or masks in its place.")
    tables = _Tables(labels, out.losses)
    for picture in labelled:
        relative = in_split("images", picture)
        out.place(picture, relative)
        # Names are looked up from wherever SLEAP was started, so they are absolute.
        copied = (out.home or out.folder.absolute()) / relative
        tables.add(picture, str(picture.path or picture.file_name) if out.pictures == "none" else str(copied))
    text = h5py.string_dtype()
    with h5py.File(out.path("labels.slp"), "w") as file:
        group = file.create_group("metadata")
        group.attrs["format_id"] = FORMAT
        group.attrs["json"] = np.bytes_(json.dumps(_metadata(labels, labelled.name)))
        file.create_dataset("videos_json", data=tables.videos(), dtype=text, maxshape=(None,))
        for name in ("tracks_json", "suggestions_json", "sessions_json"):
            file.create_dataset(name, shape=(0,), dtype=text, maxshape=(None,))
        file.create_dataset("frames", data=np.array(tables.frames, dtype=_FRAME))
        file.create_dataset("instances", data=np.array(tables.instances, dtype=_INSTANCE))
        file.create_dataset("points", data=np.array(tables.points, dtype=_POINT))
        file.create_dataset("pred_points", data=np.array(tables.sure_points, dtype=_SURE_POINT))


class _Tables:
    def __init__(self, labels: list[LabelEntry], losses: Losses) -> None:
        self._numbers = {label.name: i for i, label in enumerate(labels)}
        self._labels = {label.name: label for label in labels}
        self._losses = losses
        self._videos: dict[tuple[int, int], list[str]] = {}
        self.frames: list[tuple[Any, ...]] = []
        self.instances: list[tuple[Any, ...]] = []
        self.points: list[tuple[Any, ...]] = []
        self.sure_points: list[tuple[Any, ...]] = []

    def add(self, picture: LabelledPicture, path: str) -> None:
        names = self._videos.setdefault(picture.size, [])
        names.append(path)
        self._losses.add("tags", len(picture.tags))
        begin = len(self.instances)
        shapes, boxes = areas.with_boxes(picture.shapes)
        self._losses.add("boxes around skeletons", len(boxes))
        for shape in shapes:
            if not isinstance(shape, Skeleton):
                self._losses.add(f"shapes of kind {shape.kind}")
            else:
                self._add_instance(shape)
        if len(self.instances) > begin:
            video = list(self._videos).index(picture.size)
            self.frames.append((len(self.frames), video, len(names) - 1, begin, len(self.instances)))

    def _add_instance(self, shape: Skeleton) -> None:
        if shape.attributes:
            self._losses.add("attributes")
        by_name = {element.label: element for element in shape.elements}
        listed = [by_name.get(joint) for joint in self._labels[shape.label].joints]
        sure = shape.confidence is not None or any(e is not None and e.confidence is not None for e in listed)
        table = self.sure_points if sure else self.points
        begin = len(table)
        for element in listed:
            row = _point(element)
            score = element.confidence if element is not None and element.confidence is not None else 0.0
            table.append((*row, score) if sure else row)
        own = (len(self.instances), int(sure), len(self.frames), self._numbers[shape.label], -1, -1)
        self.instances.append((*own, shape.confidence or 0.0, begin, len(table), np.nan))

    def videos(self) -> list[str]:
        found = []
        for (width, height), names in self._videos.items():
            backend = {
                "type": "ImageVideo",
                "shape": [len(names), height, width, 3],
                "filename": names[0],
                "filenames": names,
                "height_": height,
                "width_": width,
                "channels_": 3,
                "grayscale": False,
            }
            found.append(json.dumps({"filename": names, "backend": backend}))
        return found


def _point(element: Points | None) -> tuple[float, float, bool, bool]:
    if element is None or element.outside or not areas.is_finite(element):
        return np.nan, np.nan, False, False
    x, y = element.points[0]
    return x - HALF_PIXEL, y - HALF_PIXEL, not element.occluded, True


def _metadata(labels: list[LabelEntry], name: str) -> Mapping[str, Any]:
    nodes: list[dict[str, Any]] = []
    skeletons = []
    kinds: set[int] = set()
    for label in labels:
        first = len(nodes)
        places = {joint: first + i for i, joint in enumerate(label.joints)}
        nodes += [{"name": joint, "weight": 1.0} for joint in label.joints]
        links = [
            {
                "edge_insert_idx": i,
                "key": 0,
                "source": places[a],
                "target": places[b],
                "type": _kind(_EDGE, kinds),
            }
            for i, (a, b) in enumerate(label.links)
        ]
        mirrored = label.mirrored or mirrored_by_name(label.joints)
        links += [
            {"key": 0, "source": first + i, "target": first + other, "type": _kind(_SYMMETRY, kinds)}
            for i, other in enumerate(mirrored)
            if i < other
        ]
        skeletons.append(
            {
                "directed": True,
                "graph": {"name": label.name, "num_edges_inserted": len(label.links)},
                "links": links,
                "multigraph": True,
                "nodes": [{"id": place} for place in places.values()],
            }
        )
        kinds.clear()
    empty: dict[str, Any] = {"videos": [], "tracks": [], "suggestions": [], "negative_anchors": {}}
    return {"version": "2.0.0", "skeletons": skeletons, "nodes": nodes, **empty, "provenance": {"name": name}}


def _kind(number: int, known: set[int]) -> dict[str, Any]:
    """Return the kind of a link as jsonpickle writes an enumeration: in full once, then by its number."""
    if number in known:
        # Numbered in the order in which they are named in full.
        return {"py/id": number if _EDGE in known else 1}
    known.add(number)
    return {"py/reduce": [{"py/type": "sleap.skeleton.EdgeType"}, {"py/tuple": [number]}]}
