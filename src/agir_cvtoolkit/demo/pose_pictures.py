"""Animals with known joints for the demonstration of the device loop: drawn, or from a folder of real pictures."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.joints import JointSchema, load_schema
from agir_cvtoolkit.pictures import load_rgb
from agir_cvtoolkit.poses import ABSENT, Keypoint, Pose
from agir_cvtoolkit.records import Box, file_stem
from agir_cvtoolkit.runs import atomic_path, write_text

from .animals import draw_animal

HELD_OUT_SHARE = 0.25
_QUALITY = 93
_SPINE = ("nose", "tailBase", "tailMid")
_PAWS = {"paw1LH": "tailBase", "paw2LF": "nose", "paw3RF": "nose", "paw4RH": "tailBase"}
_DOGS = {
    0: "left_front_paw", 1: "left_front_elbow", 2: "left_front_shoulder",
    3: "left_back_paw", 4: "left_knee", 5: "left_hip",
    6: "right_front_paw", 7: "right_front_elbow", 8: "right_front_shoulder",
    9: "right_back_paw", 10: "right_knee", 11: "right_hip",
    12: "tail_base", 13: "tail_tip", 14: "left_ear", 15: "right_ear", 16: "nose",
    20: "left_eye", 21: "right_eye", 22: "withers", 23: "throat",
}  # fmt: skip
"""Joints of ``dog24`` by their place in StanfordExtra's list of 24; the others have no counterpart."""


@dataclass(frozen=True)
class AnimalPicture:
    """One picture of one animal.

    Attributes:
        picture_id: also the id of its capture.
        path: of an upright RGB JPEG.
        size: width and height in pixels.
        truth: where its joints are.
    """

    picture_id: str
    path: Path
    size: tuple[int, int]
    truth: Pose


@dataclass(frozen=True)
class AnimalPictures:
    """Pictures with true poses.

    Attributes:
        schema: of the poses.
        joints: how a configuration names the schema: a packaged name, or a YAML file.
        pool: what devices may see.
        held_out: never sent, corrected or trained on.
    """

    schema: JointSchema
    joints: str
    pool: tuple[AnimalPicture, ...]
    held_out: tuple[AnimalPicture, ...]


def drawn_animals(folder: Path, count: int, seed: int) -> AnimalPictures:
    """Draw animals into a folder; a share of `HELD_OUT_SHARE` is held out.

    Raises:
        DataError: fewer than four.
    """

    def drawn() -> Iterator[tuple[str, NDArray[np.uint8], Pose]]:
        for number in range(count):
            animal = draw_animal(seed, number)
            yield f"animal_{number:04d}", animal.picture, animal.pose

    return _kept(drawn(), count, folder, load_schema("dog24"), "dog24")


def real_animals(data: Path, folder: Path) -> AnimalPictures:
    """Take a folder with DeepLabCut's ``CollectedData*.csv``, or with StanfordExtra's ``annotations.json``.

    Args:
        data: with the pictures; nothing is written to it.
        folder: where upright JPEG copies and, where the joints have no packaged schema, a schema go.

    Raises:
        DataError: it has neither, they cannot be read, or there are fewer than four animals.
    """
    tables = sorted(data.glob("CollectedData*.csv"))
    if tables:
        return _deeplabcut(tables[0], folder)
    if (data / "annotations.json").is_file():
        return _stanford(data / "annotations.json", folder)
    raise DataError(
        f"{data} has neither CollectedData*.csv nor annotations.json",
        "Give a folder in DeepLabCut's or StanfordExtra's layout.",
    )


def _deeplabcut(table: Path, folder: Path) -> AnimalPictures:
    """Read DeepLabCut's table: rows ``scorer``, ``bodyparts``, ``coords``, then one row for each picture."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.reader(stream))
        parts = next(row for row in rows[:4] if row and row[0] == "bodyparts")
        names = next(row for row in rows[:4] if row and row[0] == "coords")
    except (OSError, UnicodeError, csv.Error, StopIteration) as error:
        raise DataError(
            f"{table} is no table of DeepLabCut's", "It begins with three header rows."
        ) from error
    first = names.index("x")
    joints = tuple(parts[first::2])
    frames = [row for row in rows[rows.index(names) + 1 :] if row]
    unique = len({Path(*row[:first]).stem for row in frames}) == len(frames)
    content = {"name": "collected", "label": "animal", "joints": list(joints), "links": _links(joints)}
    path = folder / "joints.yaml"
    write_text(path, yaml.safe_dump(content, sort_keys=False))

    def read() -> Iterator[tuple[str, NDArray[np.uint8], Pose]]:
        for row in frames:
            values = [float(value) if value.strip() else math.nan for value in row[first:]]
            points = {
                joint: _point(x, y) for joint, x, y in zip(joints, values[::2], values[1::2], strict=True)
            }
            inner = Path(*row[:first])
            name = inner.stem if unique else file_stem(str(inner.with_suffix("")))
            yield name, load_rgb(table.parent / inner), Pose(points)

    return _kept(read(), len(frames), folder, load_schema(str(path)), str(path.resolve()))


def _links(joints: Sequence[str]) -> list[list[str]]:
    """Join parts of one view (their names end alike) along the body, where the names are known; else in order."""
    found = []
    for view in dict.fromkeys(joint.rsplit("_", 1)[-1] for joint in joints if "_" in joint):
        spine = [f"{part}_{view}" for part in _SPINE if f"{part}_{view}" in joints]
        found += [list(pair) for pair in pairwise(spine)]
        for paw, end in _PAWS.items():
            if f"{paw}_{view}" in joints and f"{end}_{view}" in joints:
                found.append([f"{paw}_{view}", f"{end}_{view}"])
    return found or [list(pair) for pair in pairwise(joints)]


def _stanford(path: Path, folder: Path) -> AnimalPictures:
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        entries = [entry for entry in content if not entry.get("is_multiple_dogs")]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{path} is no list of StanfordExtra's: {error}", "See its documentation.") from error

    def read() -> Iterator[tuple[str, NDArray[np.uint8], Pose]]:
        for entry in entries:
            points = {
                name: _point(*entry["joints"][place][:2]) if entry["joints"][place][2] > 0 else ABSENT
                for place, name in _DOGS.items()
            }
            inner = Path(entry["img_path"])
            yield inner.stem, load_rgb(path.parent / inner), Pose(points, Box(*map(float, entry["img_bbox"])))

    return _kept(read(), len(entries), folder, load_schema("dog24"), "dog24")


def _point(x: float, y: float) -> Keypoint:
    return Keypoint(x, y) if math.isfinite(x) and math.isfinite(y) else ABSENT


def _kept(
    found: Iterator[tuple[str, NDArray[np.uint8], Pose]],
    count: int,
    folder: Path,
    schema: JointSchema,
    joints: str,
) -> AnimalPictures:
    """Write the pictures as JPEG and hold every n-th out."""
    if count < 4:
        raise DataError(f"{count} animals are too few", "Give at least 4.")
    kept = [_written(*animal, folder / "images") for animal in found]
    every = round(1 / HELD_OUT_SHARE)
    held_out = tuple(kept[every - 1 :: every])
    return AnimalPictures(schema, joints, tuple(one for one in kept if one not in held_out), held_out)


def _written(picture_id: str, rgb: NDArray[np.uint8], pose: Pose, folder: Path) -> AnimalPicture:
    height, width = rgb.shape[:2]
    path = folder / f"{picture_id}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        Image.fromarray(rgb).save(temporary, format="JPEG", quality=_QUALITY)
    return AnimalPicture(picture_id, path, (width, height), _inside(pose, width, height))


def _inside(pose: Pose, width: int, height: int) -> Pose:
    """Return a pose without the joints that lie outside the picture."""
    points = {
        name: point if 0 <= point.x <= width and 0 <= point.y <= height else ABSENT
        for name, point in pose.keypoints.items()
    }
    return Pose(points, pose.box, pose.attributes)
