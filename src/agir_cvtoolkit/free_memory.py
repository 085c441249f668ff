"""How much memory this process may still take."""

from __future__ import annotations

from pathlib import Path

_MEMORY = Path("/proc/meminfo")
_CONTAINER = Path("/sys/fs/cgroup")


def free_bytes() -> int | None:
    """Return what the machine and the container have free, in bytes; None where that is not told (Linux tells)."""
    known = [free for free in (_of_machine(), _of_container()) if free is not None]
    return min(known, default=None)


def _of_machine() -> int | None:
    return _field(_MEMORY, "MemAvailable:", unit=1024)


def _of_container() -> int | None:
    """Return what the limit of a control group leaves; the cache of files gives way."""
    try:
        limit = int((_CONTAINER / "memory.max").read_text())
        used = int((_CONTAINER / "memory.current").read_text())
    except (OSError, ValueError):  # no control group, or one without a limit ("max")
        return None
    cache = _field(_CONTAINER / "memory.stat", "file") or 0
    return max(0, limit - used + cache)


def _field(path: Path, name: str, unit: int = 1) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(words[1]) * unit for line in lines if (words := line.split())[:1] == [name]), None)
