"""``transfer_manifest.json``: which picture in a folder is which capture; merged, never overwritten."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from agir_cvtoolkit.captures import Capture
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.runs import waiting_lock, write_text

MANIFEST = "transfer_manifest.json"
_LOCK = ".transfer_manifest.lock"


def entry_of(capture: Capture, picture: Path) -> dict[str, Any]:
    """Return what the manifest says of a capture."""
    return {
        "filename": picture.name,
        "firebase_id": capture.capture_id,
        "confidence": capture.confidence,
        "priority": capture.priority,
        "joint_group": capture.joint_group,
        "timestamp": capture.timestamp or (capture.taken.isoformat() if capture.taken else ""),
        "device_id": capture.device_id,
        "detected_poses": _plain(list(capture.detected)),
        "local_path": str(picture),
    }


def read_transfer_manifest(path: Path) -> dict[str, dict[str, Any]]:
    """Return the entries of a manifest by the name of the picture; there are none where there is no file.

    Raises:
        DataError: it is no manifest.
    """
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read: {error}", "Mend it, or move it away and transfer again."
        ) from error
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list):
        raise DataError(f"{path} holds no list 'images'", "Mend it, or move it away and transfer again.")
    named = (image for image in images if isinstance(image, dict) and isinstance(image.get("filename"), str))
    return {image["filename"]: image for image in named}


def merge_entries(folder: Path, entries: Iterable[Mapping[str, Any]]) -> Path:
    """Bring entries into a folder's manifest, one per picture; those of other transfers stay."""
    path = folder / MANIFEST
    with folder_lock(folder):
        merged = read_transfer_manifest(path)
        merged.update({str(entry["filename"]): dict(entry) for entry in entries})
        _write(path, merged)
    return path


def take_out(folder: Path, filenames: Iterable[str]) -> list[str]:
    """Take entries out of a folder's manifest, and return the names of those that were there."""
    path = folder / MANIFEST
    with folder_lock(folder):
        known = read_transfer_manifest(path)
        gone = [name for name in filenames if known.pop(name, None) is not None]
        if gone:
            _write(path, known)
    return gone


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold a folder's manifest against other transfers."""
    with waiting_lock(folder / _LOCK):
        yield


def _write(path: Path, entries: Mapping[str, Mapping[str, Any]]) -> None:
    content = {
        "transfer_timestamp": datetime.now().astimezone().replace(tzinfo=None).isoformat(),
        "total_images": len(entries),
        "images": list(entries.values()),
    }
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n")
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it; what it cannot hold becomes text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    return str(value)
