"""A job's files: its shapes as they were read, and a mask for each of its frames."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from agir_cvtoolkit import masks, outlines
from agir_cvtoolkit.cvat import JobAnnotations
from agir_cvtoolkit.errors import MaskError
from agir_cvtoolkit.interpolation import shape_on
from agir_cvtoolkit.pictures import png_bytes
from agir_cvtoolkit.plain_shapes import tag_to_plain, to_plain, track_to_plain
from agir_cvtoolkit.runs import atomic_path, write_bytes
from agir_cvtoolkit.shapes import Ellipse, Mask, Polygon, Shape

Area = Mask | Polygon | Ellipse
"""Shapes that cover pixels."""


def write_annotations(folder: Path, found: JobAnnotations) -> None:
    """Write what a job holds as it was read, labels by name.

    The JSON has a list of shapes under the number of each frame that has any; where there are any, ``tags`` holds
    lists of tags by frame, and ``tracks`` a list of the objects that go through several frames.
    """
    with (
        atomic_path(folder / "annotations" / f"job_{found.job_id}.json") as temporary,
        temporary.open("wb") as stream,
    ):
        start = b"{"
        # One frame after the other: as text or as numbers of Python, fine masks are many times what they were.
        for name, value in _members(found):
            stream.write(start + orjson.dumps(name) + b":" + orjson.dumps(value))
            start = b","
        stream.write(b"}" if start == b"," else b"{}")


def _members(found: JobAnnotations) -> Iterator[tuple[str, Any]]:
    for frame, shapes in found.shapes.items():
        yield str(frame), [to_plain(shape) for shape in shapes]
    if found.tags:
        yield "tags", {str(f): [tag_to_plain(tag) for tag in tags] for f, tags in found.tags.items()}
    if found.tracks:
        yield "tracks", [track_to_plain(track) for track in found.tracks]


def shapes_on(found: JobAnnotations, frame: int, deleted: Collection[int]) -> tuple[Shape, ...]:
    """Return what is to be seen on a frame: its shapes, then the objects that go through it, where they are there.

    Args:
        found: what the job holds.
        frame: number of the frame in the task.
        deleted: frames that are deleted; what was set on them moves nothing.
    """
    tracked = (shape_on(track, frame, deleted) for track in found.tracks)
    return (*found.shapes.get(frame, ()), *(shape for shape in tracked if shape is not None))


def write_mask(
    folder: Path, stem: str, shapes: Sequence[Shape], size: tuple[int, int], class_ids: Mapping[str, int]
) -> str | None:
    """Draw shapes into one mask of class ids and write it as PNG.

    Shapes are drawn by z-order, later ones over earlier ones. Masks, polygons and ellipses are areas; a record
    that has only other shapes gives no mask. A pixel belongs to a polygon as `outlines.rasterize` says, and to an
    ellipse when its centre lies in it or on its edge.

    Args:
        folder: of the task.
        stem: of the record's files.
        shapes: of one frame.
        size: width and height of the picture.
        class_ids: mask value by label.

    Returns:
        The path relative to the folder; None where there is no area to draw and other shapes are there.

    Raises:
        MaskError: runs that do not fit, or a label without class id.
    """
    areas = [shape for shape in shapes if isinstance(shape, Area)]
    if shapes and not areas:
        return None
    canvas: NDArray[np.uint8] = np.zeros((size[1], size[0]), dtype=np.uint8)
    for shape in sorted(areas, key=lambda s: s.z_order):
        if shape.label not in class_ids:
            raise MaskError(f"label '{shape.label}' has no class id", "Add it to dataset/classes.json.")
        _draw(canvas, shape, size, class_ids[shape.label])
    relative = f"masks/{stem}.png"
    write_bytes(folder / relative, png_bytes(canvas))
    return relative


def _draw(canvas: NDArray[np.uint8], shape: Area, size: tuple[int, int], value: int) -> None:
    if isinstance(shape, Polygon):
        ring = np.asarray(shape.points, dtype=np.float64)
        canvas[outlines.rasterize([ring], size)] = value
        return
    if isinstance(shape, Ellipse):
        (left, top), part = outlines.ellipse_pixels(shape, size)
        canvas[top : top + part.shape[0], left : left + part.shape[1]][part] = value
        return
    left, top, right, bottom = shape.box
    part = masks.decode(
        masks.Runs(shape.runs, (0, 0, right - left, bottom - top)), (right - left + 1, bottom - top + 1)
    )
    masks.check_runs(masks.Runs(shape.runs, shape.box), size)
    canvas[top : bottom + 1, left : right + 1][part] = value
