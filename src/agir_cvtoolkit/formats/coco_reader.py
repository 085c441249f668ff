"""COCO read without trust and without holding it: annotations are parted by picture in a file that goes with the reader.

https://cocodataset.org/#format-data and #format-results
"""

from __future__ import annotations

import math
import tempfile
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.json_stream import texts_of
from agir_cvtoolkit.labelled import LabelEntry, LabelledPicture, LabelledSet, Provenance
from agir_cvtoolkit.pictures import MAX_PIXELS
from agir_cvtoolkit.shapes import Mask, Points, Polygon, Rectangle, Shape, Skeleton

from . import areas
from .coco_runs import patch_of_runs, unpacked
from .reading import Incoming, PictureFinder, Problems, record_of

PIECE_BYTES = 1 << 20
LONGEST_ITEM = 256 * 1024**2
"""Bytes that one annotation may have."""
_SAME = 1e-6
_NEXT = "Write it as https://cocodataset.org/#format-data says."


@dataclass
class _Index:
    """What is known once the file was read through.

    Attributes:
        places: by image id the places of its annotations in `waiting`: offset, length, offset, length, ...
    """

    waiting: IO[bytes]
    images: dict[Any, Mapping[str, Any]] = field(default_factory=dict)
    categories: dict[Any, LabelEntry] = field(default_factory=dict)
    places: dict[Any, array[int]] = field(default_factory=dict)


def read_coco(path: Path, finder: PictureFinder, reference: Path | None = None) -> Incoming:
    """Read a file of annotations, or of results.

    Args:
        path: an object with ``images``, ``categories`` and ``annotations``, or a list of results.
        finder: of the pictures.
        reference: the annotations that name the images and categories of results.

    Raises:
        DataError: it is no such file, or breaks off.
    """
    problems = Problems()
    index = _Index(tempfile.TemporaryFile())  # noqa: SIM115 - it lives as long as the pictures are read
    if reference is not None:
        _scan(reference, index, problems, wanted=("images", "categories"))
    _scan(path, index, problems, wanted=("images", "categories", "annotations"))
    if not index.images:
        raise DataError(
            f"{path} names no images", "Of a list of results, name the annotations too: --reference FILE."
        )
    for image_id in [key for key in index.places if key not in index.images]:
        count = len(index.places.pop(image_id)) // 2
        problems.add(f"image {image_id!r}", f"{count} annotations are of an image that is not listed")
    names: dict[str, LabelEntry] = {}
    for label in index.categories.values():
        names.setdefault(label.name, label)

    def pictures() -> Iterator[LabelledPicture]:
        for image_id, image in index.images.items():
            found = _picture(image_id, image, index, finder, problems)
            if found is not None:
                yield found

    return Incoming(LabelledSet(path.stem, tuple(names.values()), len(index.images), pictures), problems)


def _scan(path: Path, index: _Index, problems: Problems, wanted: tuple[str, ...]) -> None:
    offset = index.waiting.seek(0, 2)
    doubled: set[Any] = set()
    with path.open("rb") as stream:
        pieces = _Pieces(path, stream)
        try:
            for key, text in texts_of(pieces.read()):
                pieces.since = 0
                if key not in wanted:
                    continue
                try:
                    item: Any = orjson.loads(text)
                except orjson.JSONDecodeError as error:
                    problems.add(f"{key}", f"an entry is no sound JSON ({error}): {text[:80]!r}")
                    continue
                if key == "images":
                    _add_image(item, index, problems)
                elif key == "categories":
                    _add_category(item, index, problems)
                else:
                    image_id, own = _hashable(item.get("image_id")), _hashable(item.get("id"))
                    if own is not None and own in doubled:
                        problems.notes["annotations whose id another one has"] += 1
                    elif own is not None:
                        doubled.add(own)
                    index.places.setdefault(image_id, array("Q")).extend((offset, len(text)))
                    index.waiting.write(text)
                    offset += len(text)
        except ValueError as error:
            raise DataError(f"{path} is no COCO file: {error}", _NEXT) from error


class _Pieces:
    """Reads a file in pieces, and stops where one entry has no end."""

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self._path, self._stream = path, stream
        self.since = 0

    def read(self) -> Iterator[bytes]:
        first = self._stream.read(PIECE_BYTES)
        results = first.lstrip()[:1] == b"["
        if results:
            yield b'{"annotations":'
        piece = first
        while piece:
            self.since += len(piece)
            if self.since > LONGEST_ITEM:
                raise DataError(f"{self._path} has an entry of more than {LONGEST_ITEM:,} bytes", _NEXT)
            yield piece
            piece = self._stream.read(PIECE_BYTES)
        if results:
            yield b"}"


def _add_image(item: Mapping[str, Any], index: _Index, problems: Problems) -> None:
    image_id, name = _hashable(item.get("id")), item.get("file_name")
    width, height = item.get("width"), item.get("height")
    if image_id is None or not isinstance(name, str) or not name:
        problems.add(f"image {item.get('id')!r}", "it has no id or no file_name")
    elif not (
        isinstance(width, int) and isinstance(height, int) and 0 < width * height <= MAX_PIXELS and width > 0
    ):
        problems.add(name, f"its size is {width!r} x {height!r}")
    elif image_id in index.images:
        problems.add(name, f"image id {image_id!r} is that of {index.images[image_id]['file_name']} already")
    else:
        index.images[image_id] = {"file_name": name, "width": width, "height": height}


def _add_category(item: Mapping[str, Any], index: _Index, problems: Problems) -> None:
    number, name = _hashable(item.get("id")), item.get("name")
    if number is None or not isinstance(name, str) or not name.strip():
        problems.add(f"category {item.get('id')!r}", "it has no id or no name")
        return
    if number in index.categories:
        if index.categories[number].name != name:
            problems.add(
                f"category {name}", f"its id {number!r} is that of '{index.categories[number].name}'"
            )
        return
    joints = tuple(str(joint) for joint in item.get("keypoints") or ())
    links = []
    for pair in item.get("skeleton") or ():
        if (
            isinstance(pair, list)
            and len(pair) == 2
            and all(isinstance(i, int) and 0 < i <= len(joints) for i in pair)
        ):
            links.append((joints[pair[0] - 1], joints[pair[1] - 1]))
    if len(set(joints)) != len(joints):
        problems.add(f"category {name}", "it names a key point twice: its key points are left out")
        joints, links = (), []
    index.categories[number] = LabelEntry(
        name, "skeleton" if joints else "any", joints=joints, links=tuple(links)
    )


def _picture(
    image_id: Any, image: Mapping[str, Any], index: _Index, finder: PictureFinder, problems: Problems
) -> LabelledPicture | None:
    name, size = image["file_name"], (image["width"], image["height"])
    try:
        path = finder.find(name)
    except DataError as error:
        problems.add(name, str(error))
        return None
    shapes: list[Shape] = []
    places = index.places.get(image_id, array("Q"))
    for i in range(0, len(places), 2):
        index.waiting.seek(places[i])
        item: Any = orjson.loads(index.waiting.read(places[i + 1]))
        try:
            shapes += _shapes(item, size, index.categories, problems, group=i // 2 + 1)
        except (DataError, ValueError, TypeError, KeyError, OverflowError) as error:
            problems.add(name, f"annotation {item.get('id')!r}: {_said(error)}")
    return LabelledPicture(
        record_id=record_of(name),
        file_name=name,
        path=path,
        width=size[0],
        height=size[1],
        shapes=tuple(shapes),
        provenance=Provenance("file"),
    )


def _said(error: Exception) -> str:
    return error.problem if isinstance(error, DataError) else f"it cannot be understood ({error})"


def _shapes(
    item: Mapping[str, Any],
    size: tuple[int, int],
    categories: Mapping[Any, LabelEntry],
    problems: Problems,
    group: int,
) -> list[Shape]:
    label = categories.get(_hashable(item.get("category_id")))
    if label is None:
        raise ValueError(f"category {item.get('category_id')!r} is not listed")
    attributes = item.get("attributes") or {}
    score = item.get("score")
    words: dict[str, Any] = {
        "label": label.name,
        "source": "file",
        "occluded": attributes.get("occluded") is True,
        "attributes": {
            str(k): _text(v) for k, v in attributes.items() if not (k == "occluded" and v in (True, False))
        },
        "confidence": None if score is None else min(1.0, max(0.0, _number(score))),
    }
    found: list[Shape] = []
    if item.get("keypoints") and label.joints:
        found.append(_skeleton(item["keypoints"], label, words))
    if item.get("iscrowd"):
        problems.notes["crowds (taken as one mask each)"] += 1
    area = _area(item.get("segmentation"), size, words)
    if area is not None:
        found.append(area)
    box = item.get("bbox")
    if box and (not found or (area is None and not _is_around(box, found[0]))):
        found.append(_box(box, words))
    if not found:
        raise ValueError("it has neither segmentation nor key points nor a box")
    if len(found) > 1:
        found = [_grouped(shape, group) for shape in found]
    return found


def _grouped(shape: Shape, group: int) -> Shape:
    return replace(shape, group=group)


def _skeleton(values: Any, label: LabelEntry, words: Mapping[str, Any]) -> Skeleton:
    if not isinstance(values, list) or len(values) != 3 * len(label.joints):
        raise ValueError(f"it has {len(values) / 3:g} key points, its category {len(label.joints)}")
    elements = []
    for place, joint in enumerate(label.joints):
        x, y, seen = (_number(value) for value in values[3 * place : 3 * place + 3])
        if seen not in (0, 1, 2):
            raise ValueError(f"the visibility of {joint} is {seen:g}, not 0, 1 or 2")
        elements.append(
            Points(
                label=joint,
                points=((x, y) if seen else (0.0, 0.0),),
                source="file",
                occluded=seen == 1,
                outside=seen == 0,
            )
        )
    if all(element.outside for element in elements):
        raise ValueError("none of its key points is there")
    return Skeleton(**words, elements=tuple(elements))


def _area(segmentation: Any, size: tuple[int, int], words: Mapping[str, Any]) -> Mask | Polygon | None:
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        height, width = (int(value) for value in segmentation["size"])
        if (width, height) != size:
            raise ValueError(f"its mask is {width}x{height}, its picture {size[0]}x{size[1]}")
        counts = segmentation["counts"]
        runs = unpacked(counts) if isinstance(counts, str) else np.asarray(counts, dtype=np.int64)
        patch = patch_of_runs(runs, size)
    else:
        rings = [_ring(part) for part in segmentation]
        if len(rings) == 1:
            return Polygon(**words, points=tuple((float(x), float(y)) for x, y in rings[0]))
        patch = _union([found for ring in rings if (found := areas.patch_of_rings([ring], size)) is not None])
    if patch is None:
        raise ValueError("its mask has no pixel in the picture")
    return areas.mask_of(patch, **words)


def _ring(part: Any) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    if not isinstance(part, list) or len(part) < 6 or len(part) % 2:
        raise ValueError("a polygon has no three points, or half a point")
    ring = np.asarray([_number(value) for value in part], dtype=np.float64)
    return ring.reshape(-1, 2)


def _union(patches: list[areas.Patch]) -> areas.Patch | None:
    if not patches:
        return None
    left, top = min(p.left for p in patches), min(p.top for p in patches)
    right = max(p.left + p.pixels.shape[1] for p in patches)
    bottom = max(p.top + p.pixels.shape[0] for p in patches)
    whole = np.zeros((bottom - top, right - left), dtype=np.bool_)
    for p in patches:
        rows, columns = p.pixels.shape
        whole[p.top - top : p.top - top + rows, p.left - left : p.left - left + columns] |= p.pixels
    return areas.Patch(left, top, whole)


def _box(box: Any, words: Mapping[str, Any]) -> Rectangle:
    x, y, width, height = (_number(value) for value in box)
    if width <= 0 or height <= 0:
        raise ValueError(f"its box is {width:g} x {height:g}")
    return Rectangle(**words, points=((x, y), (x + width, y + height)))


def _is_around(box: Any, shape: Shape) -> bool:
    """Whether a box says no more than the points that it is around."""
    tight = areas.extent_of(areas.points_of(shape))
    return len(box) == 4 and all(abs(_number(a) - b) <= _SAME for a, b in zip(box, tight, strict=True))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _hashable(value: Any) -> int | str | None:
    return value if isinstance(value, int | str) else None
