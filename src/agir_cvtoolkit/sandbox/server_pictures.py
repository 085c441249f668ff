"""The pictures of a task that were named and not sent: found at their place, or missed there."""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Mapping
from pathlib import Path

import orjson

from .storages import keys_of, media_kind
from .store import Json
from .workers import WorkError


def found_pictures(
    server: Json, target: Path
) -> tuple[list[str], dict[str, Path], dict[str, tuple[int, int]]]:
    """Find the pictures that the request of a new task names.

    Args:
        server: as `storages.named_files` returns it.
        target: the task's own folder, for what is copied.

    Returns:
        Names in the order given, their files, and the sizes that a manifest claims.

    Raises:
        WorkError: with the text of the real server.
    """
    base = Path(server["base"])
    names = [
        posixpath.normpath(name).lstrip("/") + ("/" if name.endswith("/") else "") for name in server["names"]
    ]
    if any(".." in name.split("/") for name in names):
        raise WorkError("ValueError: Don't use '..' inside file paths")
    if server["storage"] is None:
        return _of_share(base, names, target if server.get("copy") else None)
    return _of_bucket(base, names, server["storage"])


def _of_share(
    base: Path, names: list[str], target: Path | None
) -> tuple[list[str], dict[str, Path], dict[str, tuple[int, int]]]:
    pictures = []
    for name in names:
        path = base / name
        inside = [posixpath.join(name, key) for key in keys_of(path)] if path.is_dir() else [name]
        pictures += [key for key in inside if media_kind(key) == "image"]
    files = {name: base / name for name in pictures}
    for name, path in files.items():
        if not path.is_file():
            raise WorkError(f"FileNotFoundError: [Errno 2] No such file or directory: '{path}'")
        if target is not None:
            copy = target / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            files[name] = copy
    return pictures, files, {}


def _of_bucket(
    base: Path, names: list[str], storage: str
) -> tuple[list[str], dict[str, Path], dict[str, tuple[int, int]]]:
    manifests = [name for name in names if name.endswith(".jsonl")]
    if len(manifests) > 1:
        raise WorkError("Only one manifest file can be attached to data")
    listed = _listed(base, manifests[0], storage) if manifests else None
    wanted: list[str] = []
    for name in names:
        if name.endswith("/"):
            wanted += [key for key in (listed or keys_of(base)) if key.startswith(name)]
        elif not name.endswith(".jsonl"):
            wanted.append(name)
    if listed is not None and names == manifests:
        wanted = list(listed)
    wanted = [name for name in wanted if media_kind(name) == "image"]
    if listed is not None:
        _check_listed(wanted, listed)
    missing = next((name for name in wanted if not (base / name).is_file()), None)
    if missing is not None:
        raise WorkError(f"NotFound: The file '{missing}' not found on the cloud storage '{storage}'")
    return wanted, {name: base / name for name in wanted}, listed or {}


def _listed(base: Path, key: str, storage: str) -> dict[str, tuple[int, int]]:
    path = base / key
    if not path.is_file():
        raise WorkError(f"NotFound: The file '{key}' not found on the cloud storage '{storage}'")
    try:
        lines = [orjson.loads(line) for line in path.read_bytes().splitlines() if line.strip()]
        if lines[0]["version"] not in {"1.0", "1.1"} or lines[1]["type"] != "images":
            raise ValueError("not of pictures")
        folder = posixpath.dirname(key)
        return {
            posixpath.join(folder, f"{line['name']}{line['extension']}"): (line["width"], line["height"])
            for line in lines[2:]
        }
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise WorkError("Invalid manifest was uploaded") from error


def _check_listed(wanted: list[str], listed: Mapping[str, object]) -> None:
    known = [name for name in wanted if name in listed]
    if wanted and not known:
        raise WorkError(
            "There is no intersection of the files specifiedin the request with the contents of the bucket"
        )
    if len(known) < len(wanted):
        text = "Incorrect file mapping to manifest content"
        raise WorkError(f"ValidationError: [ErrorDetail(string='{text}', code='invalid')]")
