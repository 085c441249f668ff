"""The list of pictures that CVAT reads beside them in a bucket, so that it need not open each one.

A text file of JSON lines: ``{"version":"1.1"}``, ``{"type":"images"}``, then one line for each picture with
``name`` (its path relative to the manifest, without suffix), ``extension`` (with its dot), ``width``,
``height`` and, optionally, ``checksum`` (MD5 of the decoded pixels as stored) and ``meta``
(https://docs.cvat.ai/docs/dataset_management/dataset_manifest/).
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.runs import write_text

VERSION = "1.1"


@dataclass(frozen=True)
class ManifestPicture:
    """One picture of a manifest.

    Attributes:
        path: relative to the manifest, with ``/``.
        width, height: upright, in pixels.
        meta: what CVAT's own tool says besides: related pictures.
    """

    path: str
    width: int
    height: int
    checksum: str | None = None
    meta: Mapping[str, object] | None = field(default=None, hash=False)


def manifest_text(pictures: Iterable[ManifestPicture]) -> str:
    """Return the manifest of pictures, each path once, the last one counting."""
    lines: list[dict[str, object]] = [{"version": VERSION}, {"type": "images"}]
    for picture in {p.path: p for p in pictures}.values():
        name, extension = posixpath.splitext(picture.path)
        line: dict[str, object] = {
            "name": name,
            "extension": extension,
            "width": picture.width,
            "height": picture.height,
        }
        if picture.meta is not None:
            line["meta"] = dict(picture.meta)
        if picture.checksum is not None:
            line["checksum"] = picture.checksum
        lines.append(line)
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)


def read_manifest(path: Path) -> tuple[ManifestPicture, ...]:
    """Read a manifest of pictures.

    Raises:
        DataError: it cannot be read, or is no manifest of pictures.
    """
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        if [list(line) for line in lines[:2]] != [["version"], ["type"]] or lines[1]["type"] != "images":
            raise ValueError("its first two lines do not say version and type images")
        return tuple(
            ManifestPicture(
                str(line["name"]) + str(line["extension"]),
                int(line.get("width") or 0),
                int(line.get("height") or 0),
                line.get("checksum"),
                line.get("meta"),
            )
            for line in lines[2:]
        )
    except OSError as error:
        raise DataError(f"manifest {path} cannot be read: {error.strerror}", "Check the folder.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not a manifest of pictures: {error}",
            "Remove it, or name another one in cvat_upload.cloud.manifest.",
        ) from error


def add_to_manifest(path: Path, pictures: Iterable[ManifestPicture]) -> int:
    """Write pictures into a manifest, keeping those that it has; nothing is written where all are there.

    Returns:
        How many lines are new or have changed.

    Raises:
        DataError: the manifest that is there is none, or it cannot be written.
    """
    known = {p.path: p for p in read_manifest(path)} if path.exists() else {}
    new = {
        p.path: p
        for p in pictures
        if p.path not in known or (known[p.path].width, known[p.path].height) != (p.width, p.height)
    }
    if new or not path.exists():
        try:
            write_text(path, manifest_text((known | new).values()))
        except OSError as error:
            raise DataError(
                f"manifest {path} cannot be written: {error.strerror}",
                "Write it by other means, and set cvat_upload.cloud.write_manifest=false.",
            ) from error
    return len(new)
