"""What a device, or whoever plays one, knows of the poses in its pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agir_cvtoolkit.errors import DataError, UsageError
from agir_cvtoolkit.poses import pose_to_plain, read_poses
from agir_cvtoolkit.runs import Run

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}
_NAME_KEYS = ("filename", "file_name", "image", "name", "id")


def pictures_in(place: Path) -> list[Path]:
    """Return the pictures of a folder in the order of their names, or the one picture.

    Raises:
        UsageError: there are none, or two would be one capture.
    """
    if place.is_file():
        return [place]
    found = sorted(path for path in place.glob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    if not found:
        raise UsageError(f"{place} holds no pictures", "Name a folder of JPEG or PNG files.")
    stems: dict[str, Path] = {}
    for path in found:
        other = stems.setdefault(path.stem, path)
        if other != path:
            raise UsageError(f"{other.name} and {path.name} would be one capture", "Rename one of them.")
    return found


@dataclass(frozen=True)
class DevicePoses:
    """Poses by picture.

    Attributes:
        named: of one file that names pictures, by their name with and without suffix; None where there is none.
        folder: with a file for each picture.
    """

    named: Mapping[str, Mapping[str, Any]] | None
    folder: Path

    @classmethod
    def read(cls, pictures: Path, poses: Path | None) -> DevicePoses:
        """Read a file of poses, or find the folder that holds one for each picture.

        Raises:
            UsageError: there is no such file or folder.
            DataError: the file is none.
        """
        if poses is None:
            return cls(None, pictures if pictures.is_dir() else pictures.parent)
        if poses.is_dir():
            return cls(None, poses)
        if not poses.is_file():
            raise UsageError(
                f"{poses} does not exist", "Name a JSON file of poses, or a folder of such files."
            )
        return cls(_by_name(poses), poses.parent)

    def of(self, picture: Path) -> Mapping[str, Any] | None:
        """Return what is known of a picture; None for nothing.

        Raises:
            DataError: its file is none.
        """
        if self.named is not None:
            return self.named.get(picture.name, self.named.get(picture.stem))
        path = self.folder / f"{picture.stem}.json"
        return _entry(_json(path)) if path.is_file() else None


def poses_of_run(run: Run) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield the pictures of a run whose poses are known, with these."""
    for record in run.read_manifest():
        if record.pose_path is not None and record.image_path is not None:
            _, poses = read_poses(run.inside(record.pose_path))
            detected = [{**pose_to_plain(pose), "coordinates": "pixel"} for pose in poses]
            yield run.inside(record.image_path), {"detectedPoses": detected}


def _by_name(path: Path) -> dict[str, Mapping[str, Any]]:
    content = _json(path)
    if isinstance(content, dict):
        return {str(name): _entry(value) for name, value in content.items()}
    found: dict[str, Mapping[str, Any]] = {}
    for item in content if isinstance(content, list) else ():
        name = (
            next((item[key] for key in _NAME_KEYS if key in item), None) if isinstance(item, dict) else None
        )
        if not isinstance(name, str):
            raise DataError(f"{path}: an entry names no picture", "Give each entry a 'filename'.")
        found[name] = _entry(item)
    if not found:
        raise DataError(f"{path} names no pictures", "Write it like docs/transfer.md says.")
    return found


def _entry(content: object) -> Mapping[str, Any]:
    return content if isinstance(content, dict) else {"detectedPoses": content}


def _json(path: Path) -> object:
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}", "Write it like docs/transfer.md says.") from error
    return content
