"""What lies on the disk: how many files, and how many bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Held:
    """What a file or folder holds.

    Attributes:
        files: how many, links to other folders not followed.
        bytes: of each file once, however many names it has there.
        freed: of the files that have no name elsewhere: what its removal gives back.
    """

    files: int
    bytes: int
    freed: int


def held_by(path: Path) -> Held:
    """Count what lies at a path; what vanishes meanwhile is not counted."""
    files = total = freed = 0
    seen: dict[tuple[int, int], list[int]] = {}
    for found in _walk(path):
        try:
            info = found.lstat()
        except OSError:
            continue
        files += 1
        names = seen.setdefault((info.st_dev, info.st_ino), [0, info.st_nlink, info.st_size])
        names[0] += 1
    for here, everywhere, size in seen.values():
        total += size
        freed += size if here >= everywhere else 0
    return Held(files, total, freed)


def size_text(count: int) -> str:
    """Return a number of bytes for people, in units of 1000."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _walk(path: Path) -> Iterator[Path]:
    if not path.is_dir() or path.is_symlink():
        if path.is_symlink() or path.exists():
            yield path
        return
    for folder, _, names in os.walk(path):
        yield from (Path(folder) / name for name in names)
