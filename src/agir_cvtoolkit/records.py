"""Records and what is known of them: the values that cross the doorways between rooms."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

FieldValue = str | int | float | bool | None
ImageMode = str  # "full_image" or "cutout"; validated where it is configured

_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|\ud800-\udfff]|^\.+|[. ]+$')
_MAX_STEM_BYTES = 180


def file_stem(record_id: str) -> str:
    """Return a name for the files of a record: its id where that is safe, else a safe form with a hash.

    Spaces, umlauts and ``&%#`` stay. Path separators, control characters, lone surrogates (no file system
    takes them), what Windows forbids, leading dots, and trailing dots and spaces become ``_``; a changed or
    shortened name gets the first eight hex digits of the id's SHA-256 behind it, so two ids never share a
    name.
    """
    safe = _UNSAFE.sub("_", record_id)
    encoded = safe.encode("utf-8", "surrogatepass")
    if safe == record_id and safe and len(encoded) <= _MAX_STEM_BYTES:
        return record_id
    digest = hashlib.sha256(record_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    short = encoded[: _MAX_STEM_BYTES - 9].decode("utf-8", "ignore")
    return f"{short}-{digest}"


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels: left, top, width, height."""

    x: float
    y: float
    width: float
    height: float

    def scaled(self, from_size: tuple[int, int], to_size: tuple[int, int]) -> Box:
        """Return the box in a picture of `to_size`, given in one of `from_size` (both width, height)."""
        sx, sy = to_size[0] / from_size[0], to_size[1] / from_size[1]
        return Box(self.x * sx, self.y * sy, self.width * sx, self.height * sy)

    def clipped(self, size: tuple[int, int]) -> Box | None:
        """Return the part inside a picture of `size` (width, height), or None where nothing is left."""
        left, top = max(0.0, self.x), max(0.0, self.y)
        right, bottom = min(float(size[0]), self.x + self.width), min(float(size[1]), self.y + self.height)
        if right <= left or bottom <= top:
            return None
        return Box(left, top, right - left, bottom - top)


@dataclass(frozen=True)
class Record:
    """One picture, or one cutout of a picture, that a source offers.

    Attributes:
        record_id: the cutout id, in full-image mode the image id; any text.
        image_path: the picture file; None where the source names none.
        address: where a storage has the picture, of which `image_path` is the staged copy; None for one read in place.
        crop: the part of the picture that the record is, in pixels of `reference_size`; None for all of it.
        boxes: the objects that the source knows in this picture, in pixels of `reference_size`.
        reference_size: width and height that boxes and crop refer to; None means the picture's own.
        common_name: species name as the source spells it, or None.
        class_id: 1..255, the mask value of the foreground; 255 where the source has none.
        values: the row; where several rows were joined into one picture, the values that all of them share.
        conflicts: names of columns in which the joined rows differ.
        box_values: one row per box, in the order of `boxes`.
    """

    record_id: str
    image_path: Path | None
    crop: Box | None = None
    boxes: tuple[Box, ...] = ()
    reference_size: tuple[int, int] | None = None
    common_name: str | None = None
    class_id: int = 255
    values: Mapping[str, FieldValue] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    conflicts: frozenset[str] = frozenset()
    box_values: tuple[Mapping[str, FieldValue], ...] = field(default=(), hash=False)
    address: str | None = None

    @property
    def stem(self) -> str:
        """Name of the record's files, without suffix."""
        return file_stem(self.record_id)

    def __getstate__(self) -> dict[str, Any]:
        # Read-only views of a row cannot be sent to another process; the row can.
        rows = {"values": dict(self.values), "box_values": tuple(dict(row) for row in self.box_values)}
        return self.__dict__ | rows


@dataclass(frozen=True)
class ManifestEntry:
    """One line of ``manifest.jsonl``: one record, predicted.

    Attributes:
        image_path: relative to the run's folder, or None where pictures were not saved.
        mask_path: relative to the run's folder, or None where masks were not saved.
        width, height: of the original that lies in the run, in pixels.
        sha256: of the file at `image_path`; where that is None, of the source's file if that could be
            uploaded as it is.
        model: name of the predictor and version of its weights.
        uncertainty: in [0, 1], larger is less sure.
        edge_occupancy: share of the picture's one-pixel border that is foreground.
        foreground_share: share of the picture that is foreground.
        source_path: the file that the source named, absolute.
        pose_path: file of the poses (see `poses.write_poses`), relative to the run's folder; None where none
            were looked for.
        uncertainty_path: 8-bit picture of each pixel's doubt, relative to the run's folder; None where not saved.
        instances_path: 16-bit picture of single plants, numbered from 1, relative to the run's folder; None where
            not saved.
        instances: how many these are.
        scores: how much a person's time on it may be worth, in [0, 1], by name of the measure.
        class_shares: share of the picture by name of each class that was predicted in it, without the background.
        boxes_path: file of the boxes that were imported, relative to the run's folder; None where the run holds none.
        region_of: the record that this one is a region of; None for a whole record.
        region: its place in that record's picture, ``left,top,widthxheight`` in pixels; None for a whole record.
    """

    record_id: str
    common_name: str | None
    image_path: str | None
    mask_path: str | None
    width: int
    height: int
    sha256: str | None
    model: str
    uncertainty: float
    edge_occupancy: float
    inference_time_ms: float
    foreground_share: float = 0.0
    class_id: int = 255
    image_mode: str = "full_image"
    source_path: str | None = None
    cutout_path: str | None = None
    colorized_mask_path: str | None = None
    viz_path: str | None = None
    label_values: Mapping[str, FieldValue] = field(default_factory=dict, hash=False)
    conflicts: tuple[str, ...] = ()
    pose_path: str | None = None
    uncertainty_path: str | None = None
    instances_path: str | None = None
    instances: int | None = None
    scores: Mapping[str, float] = field(default_factory=dict, hash=False)
    class_shares: Mapping[str, float] = field(default_factory=dict, hash=False)
    boxes_path: str | None = None
    region_of: str | None = None
    region: str | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """All files that the line names, relative to the run's folder."""
        named = (
            self.image_path, self.mask_path, self.cutout_path, self.colorized_mask_path, self.viz_path,
            self.pose_path, self.uncertainty_path, self.instances_path, self.boxes_path,
        )  # fmt: skip
        return tuple(path for path in named if path is not None)

    def to_json(self) -> str:
        """Return the line, without the newline."""
        return json.dumps(vars(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> ManifestEntry:
        """Read a line; fields of newer versions are ignored, missing optional ones take their defaults.

        Raises:
            ValueError: the line is no JSON object or lacks a required field.
        """
        data: Any = json.loads(line)
        if not isinstance(data, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004 - one kind of error for every bad line
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        for name, kinds in _REQUIRED_KINDS.items():
            if not isinstance(values.get(name), kinds):
                raise ValueError(f"{name} is missing or of the wrong type")  # noqa: TRY004
        try:
            values["conflicts"] = tuple(values.get("conflicts") or ())
            return cls(**values)
        except TypeError as error:
            raise ValueError(str(error)) from error


_REQUIRED_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "record_id": str,
    "model": str,
    "width": int,
    "height": int,
    "uncertainty": (int, float),
    "edge_occupancy": (int, float),
    "inference_time_ms": (int, float),
}


@dataclass(frozen=True)
class Item:
    """What happened to one record: the lists that end every stage.

    Attributes:
        outcome: ``skipped`` or ``failed``.
        reason: in words, without the record's id.
    """

    record_id: str
    outcome: str
    reason: str
