"""The export "CVAT for images 1.1", read as a stream and without trust.

Coordinates in it are rounded to 1/100 pixel; masks are exact. Tracks are drawn out into one shape per frame
that cannot be told from others. Confidences are not in it, nor whether a whole skeleton is occluded. The
order of a skeleton's elements is any.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat

import numpy as np

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.shapes import (
    Ellipse,
    Mask,
    Point,
    Points,
    Polygon,
    Polyline,
    Rectangle,
    Shape,
    Skeleton,
    Tag,
)

from .archives import LARGEST_UNPACKED, opened_member
from .shapes_json import in_label_order

PIECE_BYTES = 1024 * 1024
LARGEST_XML = LARGEST_UNPACKED
_DEEPEST = 32
_LONGEST_TEXT = 1024 * 1024
_LONGEST_TAG = 64 * 1024**2
"""Bytes of one tag with its attributes; each piece that is added to it is looked through from its start."""
_LARGEST_NUMBER = 2**63 - 1
_SHAPES = frozenset({"polygon", "polyline", "points", "box", "mask", "ellipse", "skeleton", "cuboid", "tag"})
_NEXT_STEP = "Export it again from CVAT as 'CVAT for images 1.1'."


@dataclass(frozen=True)
class ExportedImage:
    """One ``<image>`` of an export.

    Attributes:
        frame: its ``id``; a frame of the task in an export of a task or job.
        name: of the frame's file.
        width, height: in pixels.
        task: name or id of the task, in an export of a project.
        skipped: type of, and reason for, every shape that was left out.
        created: when its task was made, as the export says it; None where it does not.
    """

    frame: int
    name: str
    width: int
    height: int
    task: str | None
    shapes: tuple[Shape, ...]
    tags: tuple[Tag, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    created: str | None = None


def read_images_xml(path: Path) -> Iterator[ExportedImage]:
    """Yield the images of an export, one after the other; memory holds no more than a few.

    Args:
        path: ``annotations.xml``, or the ZIP archive that holds it; nothing is extracted to disk.

    Raises:
        DataError: not such an export, damaged, too large, or with a document type or entities declared in it.
    """
    with _opened(path) as stream:
        reader = _Reader(path)
        total = 0
        try:
            while piece := stream.read(PIECE_BYTES):
                total += len(piece)
                if total > LARGEST_XML:
                    raise DataError(
                        f"{path} is larger than {LARGEST_XML:,} bytes when unpacked", "Is it a ZIP bomb?"
                    )
                reader.feed(piece, last=False)
                yield from reader.take()
            reader.feed(b"", last=True)
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
            raise DataError(f"{path} is damaged: {error}", _NEXT_STEP) from error
        yield from reader.take()


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        if not zipfile.is_zipfile(path):
            with path.open("rb") as stream:
                yield stream
            return
        with opened_member(path, "annotations.xml", _NEXT_STEP) as member:
            yield member
    except (zipfile.BadZipFile, OSError, RuntimeError) as error:
        raise DataError(f"{path} cannot be opened: {error}", _NEXT_STEP) from error


@dataclass
class _Open:
    """A shape whose end tag has not come yet."""

    kind: str
    given: Mapping[str, str]
    attributes: dict[str, str] = field(default_factory=dict)
    elements: list[Points] = field(default_factory=list)


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.EntityDeclHandler = self._refuse
        self._parser.ExternalEntityRefHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._stack: list[str] = []
        self._text_now: list[str] = []
        self._text_length = 0
        self._done: list[ExportedImage] = []
        self._image: dict[str, str] | None = None
        self._shapes: list[Shape] = []
        self._tags: list[Tag] = []
        self._skipped: list[tuple[str, str]] = []
        self._open: list[_Open] = []
        self._attribute = ""
        self._label: dict[str, str] = {}
        self._order: dict[str, list[str]] = {}
        self._task: dict[str, str] = {}
        self._created: dict[str, str] = {}
        self._fed = 0

    def feed(self, piece: bytes, *, last: bool) -> None:
        try:
            self._parser.Parse(piece, last)
        except expat.ExpatError as error:
            # Not "unclosed token: line 3": what stands behind "token:" is hidden in messages, as a secret.
            where = str(error).replace(": line", " at line")
            raise DataError(f"{self._path} is no sound XML: {where}", _NEXT_STEP) from error
        except LookupError as error:
            raise DataError(f"{self._path} is no sound XML: {error}", _NEXT_STEP) from error
        self._fed += len(piece)
        if self._fed - max(0, self._parser.CurrentByteIndex) > _LONGEST_TAG:
            raise DataError(
                f"{self._path} has a tag of more than {_LONGEST_TAG:,} bytes",
                "CVAT writes none; do not trust this file.",
            )

    def take(self) -> Iterator[ExportedImage]:
        done, self._done = self._done, []
        return iter(done)

    def _refuse(self, *_: object) -> int:
        raise DataError(
            f"{self._path} declares a document type or entities", "CVAT writes none; do not trust this file."
        )

    def _start(self, name: str, given: dict[str, str]) -> None:
        if not self._stack and name != "annotations":
            raise DataError(f"{self._path} is no CVAT export: it starts with <{name}>", _NEXT_STEP)
        if len(self._stack) >= _DEEPEST:
            raise DataError(f"{self._path} is nested deeper than {_DEEPEST} levels", _NEXT_STEP)
        self._stack.append(name)
        self._text_now, self._text_length = [], 0
        if name == "image":
            self._image = given
        elif name == "label" and self._image is None:
            self._label = {}
        elif self._image is not None:
            if name in _SHAPES:
                self._open.append(_Open(name, given))
            elif name == "attribute":
                self._attribute = given.get("name", "")

    def _text(self, text: str) -> None:
        self._text_length += len(text)
        if self._text_length > _LONGEST_TEXT:
            raise DataError(f"{self._path} has a text of more than {_LONGEST_TEXT:,} characters", _NEXT_STEP)
        self._text_now.append(text)

    def _end(self, name: str) -> None:
        self._stack.pop()
        text = "".join(self._text_now)
        self._text_now, self._text_length = [], 0
        if self._image is None:
            self._end_of_meta(name, text.strip())
        elif name == "image":
            self._end_of_image()
        elif name == "attribute" and self._open:
            self._open[-1].attributes[self._attribute] = text
        elif name in _SHAPES and self._open:
            self._end_of_shape(self._open.pop())

    def _end_of_meta(self, name: str, text: str) -> None:
        if self._stack and self._stack[-1] == "label" and name in {"name", "parent"}:
            self._label[name] = text
        elif name == "label" and "parent" in self._label:
            self._order.setdefault(self._label["parent"], []).append(self._label.get("name", ""))
        elif self._stack and self._stack[-1] in {"task", "job"} and name in {"id", "created"}:
            self._task[name] = text
        elif name in {"task", "job"}:
            if self._task.get("created"):
                self._created[self._task.get("id", "")] = self._task["created"]
            self._task = {}

    def _created_of(self, task: str | None) -> str | None:
        if task is not None and task in self._created:
            return self._created[task]
        return next(iter(self._created.values())) if len(self._created) == 1 else None

    def _end_of_image(self) -> None:
        given = self._image or {}
        try:
            image = ExportedImage(
                frame=int(given["id"]),
                name=given["name"],
                width=int(given["width"]),
                height=int(given["height"]),
                task=given.get("task_id"),
                shapes=tuple(self._shapes),
                tags=tuple(self._tags),
                skipped=tuple(self._skipped),
                created=self._created_of(given.get("task_id")),
            )
        except (KeyError, ValueError) as error:
            raise DataError(
                f"{self._path} has an image without id, name or size ({error})", _NEXT_STEP
            ) from error
        self._done.append(image)
        self._image = None
        self._shapes, self._tags, self._skipped = [], [], []

    def _end_of_shape(self, found: _Open) -> None:
        if found.kind == "tag":
            self._end_of_tag(found)
            return
        try:
            shape = _shape(found, self._order.get(found.given.get("label", ""), []))
        except (KeyError, ValueError, OverflowError) as error:
            self._skipped.append((found.kind, f"it cannot be understood: {error}"))
            return
        if shape is None:
            self._skipped.append((found.kind, f"shapes of type {found.kind} are not taken"))
        elif self._open and isinstance(shape, Points):
            self._open[-1].elements.append(shape)
        else:
            self._shapes.append(shape)

    def _end_of_tag(self, found: _Open) -> None:
        given = found.given
        try:
            tag = Tag(
                label=given["label"],
                source=given.get("source", "manual"),
                attributes=found.attributes,
                group=_whole(given.get("group_id", "0")),
            )
        except (KeyError, ValueError) as error:
            self._skipped.append(("tag", f"it cannot be understood: {error}"))
        else:
            self._tags.append(tag)


def _shape(found: _Open, order: list[str]) -> Shape | None:
    given = found.given
    shared: dict[str, Any] = {
        "label": given["label"],
        "source": given.get("source", "manual"),
        "occluded": given.get("occluded", "0") == "1",
        "z_order": _whole(given.get("z_order", "0")),
        "group": _whole(given.get("group_id", "0")),
        "attributes": found.attributes,
    }
    if found.kind == "skeleton":
        return Skeleton(**shared, elements=in_label_order(found.elements, order))
    if found.kind == "mask":
        return _mask(given, shared)
    shared["outside"] = given.get("outside", "0") == "1"
    rotation = float(given.get("rotation", "0"))
    if found.kind == "box":
        corners = ((float(given["xtl"]), float(given["ytl"])), (float(given["xbr"]), float(given["ybr"])))
        return Rectangle(**shared, points=corners, rotation=rotation)
    if found.kind == "ellipse":
        cx, cy, rx, ry = (float(given[name]) for name in ("cx", "cy", "rx", "ry"))
        # The sums of two numbers with two decimals have two decimals.
        points = ((cx, cy), (round(cx + rx, 2), round(cy - ry, 2)))
        return Ellipse(**shared, points=points, rotation=rotation)
    kinds: dict[str, type[Polygon | Polyline | Points]] = {
        "polygon": Polygon,
        "polyline": Polyline,
        "points": Points,
    }
    kind = kinds.get(found.kind)
    return kind(**shared, points=_points(given["points"])) if kind is not None else None


def _whole(text: str) -> int:
    number = int(text)
    if abs(number) > _LARGEST_NUMBER:
        raise ValueError(f"{text[:40]} is no number of CVAT's")
    return number


def _mask(given: Mapping[str, str], shared: dict[str, Any]) -> Mask:
    runs = np.fromstring(given["rle"], dtype=np.int64, sep=",")
    left, top, width, height = (int(float(given[name])) for name in ("left", "top", "width", "height"))
    if not len(runs) or int(np.abs(runs).max()) > np.iinfo(np.int32).max:
        raise ValueError("it has no runs, or too long ones")
    box = (left, top, left + width - 1, top + height - 1)
    return Mask(**shared, runs=runs.astype(np.int32), box=box)


def _points(text: str) -> tuple[Point, ...]:
    pairs = [pair.split(",") for pair in text.split(";") if pair]
    if not pairs:
        raise ValueError("no points")
    return tuple((float(x), float(y)) for x, y in pairs)
