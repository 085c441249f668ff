"""Advisory locks on files, which the system takes from a process that ends, however it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows has no advisory locks of this kind; the ledger's transactions remain
    _LOCKS = False
else:
    _LOCKS = True

_PATIENCE = (0.01, 0.05, 0.2)
"""Seconds to wait before trying again: who only asks whether a lock is held holds it for a moment."""


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Hold a lock until the end of the block; False when another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        locked = _take(stream)
        for seconds in _PATIENCE:
            if locked:
                break
            time.sleep(seconds)
            locked = _take(stream)
        yield locked


@contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Hold a lock until the end of the block, waiting for whoever holds it; for work that takes moments."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        if _LOCKS:
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def is_locked(path: Path) -> bool:
    """Whether anybody holds a lock; True where the system cannot tell."""
    if not _LOCKS:
        return True
    try:
        with path.open("a") as stream:
            return not _take(stream)
    except OSError:
        return True


def _take(stream: IO[str]) -> bool:
    if not _LOCKS:
        return True
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
