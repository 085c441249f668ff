"""What a COCO file names, found in one reading: images, categories, and where the annotations of each image lie."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import orjson

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.json_stream import texts_of
from agir_cvtoolkit.labelled import LabelEntry
from agir_cvtoolkit.picture_limit import allowed_pixels

from .reading import Problems

PIECE_BYTES = 1 << 20
LONGEST_ITEM = 256 * 1024**2
"""Bytes that one annotation may have."""
_NEXT = "Write it as https://cocodataset.org/#format-data says."


@dataclass
class Index:
    """What is known once the file was read through.

    Attributes:
        waiting: the annotations as they were read, one after the other.
        places: by image id the places of its annotations in `waiting`: offset, length, offset, length, ...
        drawn: ids of categories of which an annotation has more than a box.
        boxed: ids of categories of which an annotation has no more.
    """

    waiting: IO[bytes]
    images: dict[Any, Mapping[str, Any]] = field(default_factory=dict)
    categories: dict[Any, LabelEntry] = field(default_factory=dict)
    places: dict[Any, array[int]] = field(default_factory=dict)
    drawn: set[Any] = field(default_factory=set)
    boxed: set[Any] = field(default_factory=set)

    def labels(self) -> tuple[LabelEntry, ...]:
        """Return the categories by name; of the kind ``rectangle`` are those of which there is nothing but boxes.

        Where the whole file has nothing but boxes, so are those without any annotation.
        """
        found: dict[str, LabelEntry] = {}
        drawn = {self.categories[number].name for number in self.drawn if number in self.categories}
        boxed = {self.categories[number].name for number in self.boxed if number in self.categories}
        for label in self.categories.values():
            only = label.name not in drawn and (label.name in boxed or (boxed and not drawn))
            found.setdefault(
                label.name, replace(label, kind="rectangle", joints=(), links=()) if only else label
            )
        return tuple(found.values())


def scan(path: Path, index: Index, problems: Problems, wanted: tuple[str, ...]) -> None:
    """Read a file through, without holding more than one of its entries.

    Raises:
        DataError: it is no COCO file, or breaks off.
    """
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
                    number = hashable(item.get("category_id"))
                    more = item.get("segmentation") or item.get("keypoints")
                    (index.drawn if more else index.boxed).add(number)
                    image_id, own = hashable(item.get("image_id")), hashable(item.get("id"))
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


def _add_image(item: Mapping[str, Any], index: Index, problems: Problems) -> None:
    image_id, name = hashable(item.get("id")), item.get("file_name")
    width, height = item.get("width"), item.get("height")
    if image_id is None or not isinstance(name, str) or not name:
        problems.add(f"image {item.get('id')!r}", "it has no id or no file_name")
    elif not (
        isinstance(width, int)
        and isinstance(height, int)
        and 0 < width * height <= allowed_pixels()
        and width > 0
    ):
        problems.add(name, f"its size is {width!r} x {height!r}")
    elif image_id in index.images:
        problems.add(name, f"image id {image_id!r} is that of {index.images[image_id]['file_name']} already")
    else:
        index.images[image_id] = {"file_name": name, "width": width, "height": height}


def _add_category(item: Mapping[str, Any], index: Index, problems: Problems) -> None:
    number, name = hashable(item.get("id")), item.get("name")
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


def hashable(value: Any) -> int | str | None:
    """Return an id, None where it is none."""
    return value if isinstance(value, int | str) else None
