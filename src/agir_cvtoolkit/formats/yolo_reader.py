"""YOLO text files, as Ultralytics' tools read and write them; see `yolo_writer`.

Where a line ends with one number more, that is a confidence, as their predictions have it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from agir_cvtoolkit.errors import DataError, PictureError
from agir_cvtoolkit.labelled import LabelEntry, LabelledPicture, LabelledSet, Provenance
from agir_cvtoolkit.pictures import glance
from agir_cvtoolkit.shapes import Points, Polygon, Rectangle, Shape, Skeleton

from . import areas
from .reading import PICTURE_SUFFIXES, Incoming, Problems
from .yolo_writer import Task

LARGEST_FILE = 64 * 1024**2
"""Bytes that a picture's text file may have."""
_LARGEST_YAML = 1024**2
_MOST_JOINTS = 1000
_LEEWAY = 1e-6
_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_SAME = 1e-3


@dataclass(frozen=True)
class _Described:
    labels: tuple[LabelEntry, ...]
    joints: int
    dimensions: int


def read_yolo(path: Path, pictures: Path | None, task: Task) -> Incoming:
    """Read a data set.

    Args:
        path: its folder, or the ``data.yaml`` in it.
        pictures: the folder of the pictures; None: they lie as the tools want it, in ``images`` beside ``labels``.
        task: what the lines are.

    Raises:
        DataError: there is no ``data.yaml``, or it does not name the classes.
    """
    description = (
        path if path.is_file() else next((p for p in _yamls(path) if p.is_file()), path / "data.yaml")
    )
    described = _described(description, task)
    root = description.parent
    problems = Problems()
    found = _pairs(root, pictures, problems)

    def read() -> Iterator[LabelledPicture]:
        for name, picture, text in found:
            labelled = _picture(name, picture, text, described, task, problems)
            if labelled is not None:
                yield labelled

    return Incoming(LabelledSet(root.name, described.labels, len(found), read), problems)


class _Loader(yaml.SafeLoader):
    """Takes no key twice, of which YAML would keep the last one without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := next((value for (_, value), count in Counter(keys).items() if count > 1), None):
            raise yaml.YAMLError(f"'{twice}' is there twice in line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


def _yamls(folder: Path) -> Sequence[Path]:
    return (folder / "data.yaml", folder / "dataset.yaml", *sorted(folder.glob("*.yaml")))


def _described(path: Path, task: Task) -> _Described:
    next_step = "It must name the classes: names: [crop, weed]"
    try:
        if path.stat().st_size > _LARGEST_YAML:
            raise DataError(f"{path} is larger than {_LARGEST_YAML:,} bytes", next_step)
        content: Any = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a safe one
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {error}", next_step) from error
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or sorted(names, key=repr) != sorted(range(len(names)), key=repr):
        raise DataError(f"{path} does not name the classes from 0 on", next_step)
    listed = [names[i] for i in range(len(names))]
    if not all(isinstance(name, str | int | float) and str(name).strip() for name in listed):
        raise DataError(f"{path} has a class whose name is no text", next_step)
    if len({str(name) for name in listed}) != len(listed):
        raise DataError(f"{path} names a class twice", next_step)
    if task != "pose":
        kind = "rectangle" if task == "boxes" else "any"
        return _Described(tuple(LabelEntry(str(name), kind) for name in listed), 0, 0)
    joints, dimensions = _joint_shape(content, path)
    mirrored = content.get("flip_idx")
    if not (isinstance(mirrored, list) and sorted(map(str, mirrored)) == sorted(map(str, range(joints)))):
        mirrored = ()
    labels = []
    for i, name in enumerate(listed):
        named = _joint_names(content.get("kpt_names"), i, joints)
        labels.append(
            LabelEntry(str(name), "skeleton", joints=named, mirrored=tuple(int(m) for m in mirrored))
        )
    return _Described(tuple(labels), joints, dimensions)


def _joint_shape(content: Mapping[str, Any], path: Path) -> tuple[int, int]:
    match content.get("kpt_shape"):
        case [int(joints), int(dimensions)] if 0 < joints <= _MOST_JOINTS and dimensions in (2, 3):
            return joints, dimensions
        case other:
            raise DataError(f"{path} has the kpt_shape {other!r:.100}", "Write kpt_shape: [24, 3]")


def _joint_names(given: Any, number: int, joints: int) -> tuple[str, ...]:
    listed = given.get(number) if isinstance(given, dict) else None
    if isinstance(listed, list) and len(listed) == joints and all(isinstance(name, str) for name in listed):
        return tuple(listed)
    return tuple(str(i + 1) for i in range(joints))


def _pairs(root: Path, pictures: Path | None, problems: Problems) -> list[tuple[str, Path, Path]]:
    """Return for each picture its name, its file, and where its text is if it has objects."""
    root = root.resolve()
    base = pictures.resolve() if pictures is not None else root
    everything = [p for p in sorted(base.rglob("*")) if p.suffix.lower() in PICTURE_SUFFIXES and p.is_file()]
    found: list[tuple[str, Path, Path]] = []
    taken: set[Path] = set()
    texts = {} if pictures is None else {p.stem: p for p in root.rglob("*.txt")}
    for picture in everything:
        below = PurePosixPath(picture.relative_to(base).as_posix())
        if pictures is None:
            if "images" not in below.parts[:-1]:
                continue
            place = len(below.parts) - 1 - below.parts[::-1].index("images")
            text = base.joinpath(*below.parts[:place], "labels", *below.parts[place + 1 :]).with_suffix(
                ".txt"
            )
            below = PurePosixPath(*(part for i, part in enumerate(below.parts) if i != place))
        else:
            text = texts.get(picture.stem, root / f"{picture.stem}.txt")
        taken.add(text)
        found.append((str(below), picture, text))
    if not found:
        raise DataError(
            f"there is no picture in {base}{'' if pictures else '/images'}",
            "Name their folder: --pictures FOLDER",
        )
    labels = [p for p in root.rglob("*.txt") if "labels" in p.parts] if pictures is None else texts.values()
    for text in sorted(set(labels) - taken):
        problems.add(text.stem, f"{text.relative_to(root)} has no picture")
    return found


def _picture(
    name: str, path: Path, text: Path, described: _Described, task: Task, problems: Problems
) -> LabelledPicture | None:
    below = PurePosixPath(name)
    split = next((_SPLITS[part] for part in below.parts[:-1] if part in _SPLITS), None)
    kept = [part for part in below.parts[:-1] if part not in _SPLITS]
    file_name = str(PurePosixPath(*kept, below.name))
    record_id = str(PurePosixPath(file_name).with_suffix(""))
    try:
        size = glance(path).size
    except PictureError as error:
        problems.add(record_id, str(error))
        return None
    shapes: list[Shape] = []
    try:
        lines = _lines(text)
        for number, line in enumerate(lines, start=1):
            try:
                shapes += _shapes(line.split(), described, task, size, number)
            except ValueError as error:
                problems.add(record_id, f"line {number} of {text.name}: {error}")
    except DataError as error:
        problems.add(record_id, str(error))
        return None
    if lines and not shapes:
        return None  # it is no picture of nothing: what was on it is listed
    return LabelledPicture(
        record_id=record_id,
        file_name=file_name,
        path=path,
        width=size[0],
        height=size[1],
        shapes=tuple(shapes),
        split=split,
        provenance=Provenance("file"),
    )


def _lines(path: Path) -> Sequence[str]:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise DataError(f"{path} is larger than {LARGEST_FILE:,} bytes", "Is it a label file?")
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}", "Write it as UTF-8 text.") from error


def _shapes(
    words: Sequence[str], described: _Described, task: Task, size: tuple[int, int], group: int
) -> list[Shape]:
    try:
        number, values = float(words[0]), [float(word) for word in words[1:]]
    except ValueError:
        raise ValueError(f"it holds something that is no number: {' '.join(words)[:80]!r}") from None
    if not number.is_integer() or not 0 <= number < len(described.labels):
        raise ValueError(f"class {words[0][:40]} is none of the {len(described.labels)} in data.yaml")
    if not all(map(math.isfinite, values)):
        raise ValueError("it holds a number that is not finite")
    label = described.labels[int(number)]
    if task == "pose":
        return _animal(label, values, described, size, group)
    if task == "boxes" or len(values) in (4, 5):
        if len(values) not in (4, 5):
            raise ValueError(f"it has {len(words)} columns, a box has 5, or 6 with a confidence")
        return [_box(label, values[:4], size, _confidence(values[4:]))]
    if len(values) < 6:
        raise ValueError(f"it has {len(words)} columns, a polygon has 7 at least")
    confidence = _confidence(values[-1:]) if len(values) % 2 else None
    points = _places(values[: len(values) // 2 * 2], size)
    return [Polygon(label=label.name, points=points, source="file", confidence=confidence)]


def _animal(
    label: LabelEntry, values: list[float], described: _Described, size: tuple[int, int], group: int
) -> list[Shape]:
    wanted = 4 + described.joints * described.dimensions
    if len(values) not in (wanted, wanted + 1):
        raise ValueError(f"it has {len(values) + 1} columns, kpt_shape asks for {wanted + 1}")
    confidence = _confidence(values[wanted:])
    step, elements = described.dimensions, []
    for i, joint in enumerate(label.joints):
        x, y, *seen = values[4 + i * step : 4 + (i + 1) * step]
        visibility = seen[0] if seen else (0.0 if x == y == 0 else 2.0)
        # Predictions have a confidence there.
        sure = None if visibility in (0, 1, 2) else visibility
        if not 0 <= visibility <= 2:
            raise ValueError(f"the visibility of {joint} is {visibility:g}")
        there = visibility > 0
        points = _places([x, y], size) if there else ((0.0, 0.0),)
        occluded = visibility == 1 and bool(seen)
        elements.append(
            Points(
                label=joint,
                points=points,
                source="file",
                occluded=occluded,
                outside=not there,
                confidence=sure,
            )
        )
    if all(element.outside for element in elements):
        raise ValueError("none of its joints is there")
    skeleton = Skeleton(
        label=label.name, elements=tuple(elements), source="file", confidence=confidence, group=group
    )
    box = _box(label, values[:4], size, confidence, group)
    tight = areas.extent_of(areas.points_of(skeleton))
    given = areas.extent_of(box.points)
    if all(abs(a - b) <= _SAME for a, b in zip(tight, given, strict=True)):
        return [skeleton]
    return [skeleton, box]


def _confidence(values: Sequence[float]) -> float | None:
    if not values:
        return None
    if not 0 <= values[0] <= 1:
        raise ValueError(f"its confidence is {values[0]:g}, not in 0..1")
    return values[0]


def _box(
    label: LabelEntry,
    values: Sequence[float],
    size: tuple[int, int],
    confidence: float | None,
    group: int = 0,
) -> Rectangle:
    x, y, width, height = values
    if width <= 0 or height <= 0:
        raise ValueError(f"its box is {width:g} x {height:g}")
    _check_shares(values)
    # Their tools look at the four numbers alone: a box may reach over the border, and is cut there.
    corners = _on_picture([x - width / 2, y - height / 2, x + width / 2, y + height / 2], size)
    return Rectangle(label=label.name, points=corners, source="file", confidence=confidence, group=group)


def _places(values: Sequence[float], size: tuple[int, int]) -> tuple[tuple[float, float], ...]:
    _check_shares(values)
    return _on_picture(values, size)


def _check_shares(values: Sequence[float]) -> None:
    low, high = min(values), max(values)
    if low < -_LEEWAY or high > 1 + _LEEWAY:
        raise ValueError(f"a coordinate is {low if low < 0 else high:g}, not a share in 0..1")


def _on_picture(values: Sequence[float], size: tuple[int, int]) -> tuple[tuple[float, float], ...]:
    pairs = zip(values[::2], values[1::2], strict=True)
    return tuple((min(max(x, 0.0), 1.0) * size[0], min(max(y, 0.0), 1.0) * size[1]) for x, y in pairs)
