"""Files that are written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agir_cvtoolkit.errors import DataError

_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{8}\.tmp", re.DOTALL)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to, and rename it to `path` when the block succeeds."""
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:80]}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename is None:
            error.filename = str(path)  # what fails on an open file, as on a full disk, names none
        raise


def temporaries(folder: Path) -> list[Path]:
    """Return the files in a folder and all below that were being written; only a killed call leaves any."""
    return sorted(
        path for path in folder.rglob(".*.tmp") if _TEMPORARY.fullmatch(path.name) and not path.is_dir()
    )


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a UTF-8 file whole or not at all."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, content: object) -> None:
    """Write a JSON file, indented, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n")


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; a missing file is an empty one.

    Raises:
        DataError: the file is damaged.
    """
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}", "Move it away and run the stage again.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no JSON object", "Move it away and run the stage again.")
    return content


def discard(path: Path) -> None:
    """Remove a file or a folder with all it holds, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def fingerprint(*parts: object) -> str:
    """Return a short hash of JSON-like values: equal inputs and configuration give the same stage pass."""
    text = json.dumps(parts, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def real_path(path: Path) -> Path | None:
    """Return a path without links and dots; None for one that no file system takes."""
    try:
        resolved = path.resolve()
        resolved.exists()
    except (OSError, ValueError, RuntimeError):  # a name too long, with a null in it, links in a circle
        return None
    return resolved
