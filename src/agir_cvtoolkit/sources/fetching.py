"""One picture brought from its storage into the cache, going on where an earlier try stopped."""

from __future__ import annotations

import errno
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from agir_cvtoolkit.errors import DataError, PictureError

from .remote import Description, Remote
from .staging import PART, Cache, Staged

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_CREDENTIALS = "Check the credentials for the storage."
_HOPELESS: dict[type[Exception], tuple[str, str]] = {
    FileNotFoundError: ("does not exist", "Correct the path in the database, or io.roots."),
    PermissionError: ("must not be read", _CREDENTIALS),
}
_Result = TypeVar("_Result")


class BrokenError(OSError):
    """What arrived is not what the storage has."""


def described(
    remote: Remote, address: str, attempts: int, sleep: Callable[[float], None] = time.sleep
) -> Description:
    """Ask a storage for the state of a picture, again where it fails.

    Raises:
        PictureError: there is no such picture, or it cannot be asked for.
    """
    return _tried(address, attempts, sleep, lambda: remote.describe(address))


def bring(
    remote: Remote,
    cache: Cache,
    address: str,
    found: Description,
    attempts: int,
    sleep: Callable[[float], None] = time.sleep,
) -> Staged:
    """Bring a picture into the cache; size, and where the storage knows it the MD5, are compared.

    Args:
        remote: its storage.
        cache: where to.
        address: of the picture.
        found: what the storage said of it.
        attempts: how often it is tried; each goes on where the last one stopped.
        sleep: waits for so many seconds.

    Raises:
        PictureError: it cannot be brought.
        DataError: the disk is full.
    """
    path = cache.path_of(address)
    state = hashlib.sha256(repr((found.size, found.version)).encode()).hexdigest()[:8]
    part = path.with_name(f"{path.name}.{state}{PART}")
    return _tried(address, attempts, sleep, lambda: _brought(remote, cache, address, found, part))


def _brought(remote: Remote, cache: Cache, address: str, found: Description, part: Path) -> Staged:
    part.parent.mkdir(parents=True, exist_ok=True)
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with part.open("a+b") as stream:
        stream.seek(0)
        while chunk := stream.read(1 << 20):
            sha256.update(chunk)
            md5.update(chunk)
        if stream.tell() < found.size:
            for chunk in remote.read(address, stream.tell()):
                stream.write(chunk)
                sha256.update(chunk)
                md5.update(chunk)
        size = stream.tell()
    if size < found.size:
        raise BrokenError(f"{size} of {found.size} bytes arrived")
    if size > found.size or (found.md5 is not None and md5.hexdigest() != found.md5):
        part.unlink()
        raise BrokenError("what arrived is not what the storage has")
    staged = Staged(address, size, found.version, sha256.hexdigest())
    cache.keep(staged, part)
    return staged


def _tried(
    address: str, attempts: int, sleep: Callable[[float], None], work: Callable[[], _Result]
) -> _Result:
    pause = _FIRST_PAUSE_S
    for left in range(attempts - 1, -1, -1):
        try:
            return work()
        except tuple(_HOPELESS) as error:
            problem, step = next(said for kind, said in _HOPELESS.items() if isinstance(error, kind))
            raise PictureError(f"{address} {problem}", step) from error
        except Exception as error:
            # Storages raise whatever their libraries do.
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                step = "Make room, or name another folder in fetch.cache_dir."
                raise DataError(f"{address} cannot be stored: the disk is full", step) from error
            said = " ".join(str(error).split()) or type(error).__name__
            if "Credentials" in type(error).__name__:
                raise PictureError(f"{address} cannot be fetched: {said}", _CREDENTIALS) from error
            if not left:
                raise PictureError(f"{address} cannot be fetched: {said}", "Run fetch again.") from error
            sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
    raise ValueError("there must be an attempt")
