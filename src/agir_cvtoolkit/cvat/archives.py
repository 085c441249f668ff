"""Archives from a server, read without trust: nothing is extracted, and nothing grows without end."""

from __future__ import annotations

import glob
import secrets
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

from agir_cvtoolkit.errors import DataError

LARGEST_UNPACKED = 4 * 1024**3
"""Bytes that one file of an archive may have when it is unpacked."""

UNSUSPECTED = 64 * 1024**2
"""Bytes below which nobody asks how well a file was packed."""

PACKED_AT_MOST = 300
"""How many times smaller a larger file may have become; annotations of CVAT become 3 to 60 times smaller."""

MOST_MEMBERS = 500_000


@contextmanager
def opened_member(path: Path, name: str, next_step: str) -> Iterator[IO[bytes]]:
    """Open one file of a ZIP archive for reading; names in the archive are compared, never used as paths.

    Args:
        path: of the archive.
        name: of the file, in whatever folder of the archive.
        next_step: for the errors.

    Yields:
        The file, which ends with an error where there is more in it than `LARGEST_UNPACKED`.

    Raises:
        DataError: the archive is damaged, names a place outside of itself, would explode, or has no such file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_names(path, members)
            found = [member for member in members if PurePosixPath(member.filename).name == name]
            if not found:
                raise DataError(f"{path} holds no {name}", next_step)
            _check_size(path, found[0])
            with archive.open(found[0]) as stream:
                yield cast("IO[bytes]", _Bounded(stream, path))
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
        raise DataError(f"{path} cannot be read: {error}", next_step) from error


class _Bounded:
    """A stream that ends with an error where it does not end by itself."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream = stream
        self._path = path
        self._left = LARGEST_UNPACKED

    def read(self, size: int) -> bytes:
        piece = self._stream.read(size)
        self._left -= len(piece)
        if self._left < 0:
            raise _explodes(self._path)
        return piece


def _check_names(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MOST_MEMBERS:
        raise DataError(
            f"{path} holds {len(members):,} files", "CVAT writes no such archive; do not trust it."
        )
    for member in members:
        parts = member.filename.replace("\\", "/").split("/")
        absolute = parts[0] == "" or parts[0].endswith(":")
        link = stat.S_ISLNK(member.external_attr >> 16)
        if absolute or ".." in parts or link:
            raise DataError(
                f"{path} escapes its folder: it names {member.filename[:200]!r}",
                "CVAT writes no such archive; do not unpack it.",
            )


def _check_size(path: Path, member: zipfile.ZipInfo) -> None:
    packed_too_well = member.file_size > PACKED_AT_MOST * max(1, member.compress_size)
    if member.file_size > LARGEST_UNPACKED or (member.file_size > UNSUSPECTED and packed_too_well):
        raise _explodes(path)


def _explodes(path: Path) -> DataError:
    return DataError(
        f"{path} explodes when it is unpacked, to more than {UNSUSPECTED:,} bytes", "Is it a ZIP bomb?"
    )


def unpack(path: Path, folder: Path) -> int:
    """Unpack a whole archive into a folder, which appears, or is replaced, when all is there.

    What a killed call has left half unpacked beside the folder is removed.

    Args:
        path: of the archive.
        folder: where its files go.

    Returns:
        The number of files.

    Raises:
        DataError: the archive is damaged, holds a link or a file twice, names a place outside of itself, or would
            explode.
    """
    again = "Export it again from CVAT."
    stem, mark = f".{folder.name[:80]}", secrets.token_hex(4)
    part, old = folder.with_name(f"{stem}.{mark}.part"), folder.with_name(f"{stem}.{mark}.old")
    for left in folder.parent.glob(f"{glob.escape(stem)}.????????.*"):
        if left.suffix in {part.suffix, old.suffix}:
            shutil.rmtree(left, ignore_errors=True)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            _check_names(path, archive.infolist())
            if sum(member.file_size for member in members) > LARGEST_UNPACKED:
                raise _explodes(path)
            part.mkdir(parents=True)
            for member in members:
                _check_size(path, member)
                target = part.joinpath(*PurePosixPath(member.filename.replace("\\", "/")).parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as stream, target.open("xb") as written:
                    bounded = _Bounded(stream, path)
                    while piece := bounded.read(1 << 20):
                        written.write(piece)
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError) as error:
        raise DataError(f"{path} cannot be unpacked: {error}", again) from error
    finally:
        for left in (part, old):
            shutil.rmtree(left, ignore_errors=True)
    return len(members)
