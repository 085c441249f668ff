"""Pictures of slow storage, staged on this machine: where each one lies, whether it is whole, and what makes room.

A staged picture is named after a hash of its address, so it is found without asking the storage. Beside it lies a
small file that says what it is; its time of change is when the picture was used last.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from agir_cvtoolkit.runs import write_json

_NOTE = ".json"
PART = ".part"


@dataclass(frozen=True)
class Staged:
    """What is known of a staged picture.

    Attributes:
        address: where it came from.
        size: bytes.
        version: of the picture in its storage, which changes with its content; empty where the storage tells none.
        sha256: of the file.
    """

    address: str
    size: int
    version: str
    sha256: str


class Cache:
    """The folder of staged pictures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path_of(self, address: str) -> Path:
        """Return where the picture of an address lies, or will lie; the same in every process."""
        digest = hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        suffix = PurePosixPath(address.partition("?")[0]).suffix.lower()
        return self.folder / digest[:2] / f"{digest}{suffix if suffix.isascii() and len(suffix) <= 6 else ''}"

    def known(self, address: str) -> Staged | None:
        """Return what is known of a picture; None where it is not staged, was cut off, or its note is damaged."""
        path = self.path_of(address)
        try:
            note = Staged(**json.loads(_note(path).read_bytes()))
            whole = note.address == address and path.stat().st_size == note.size
        except (OSError, ValueError, TypeError):
            return None
        return note if whole else None

    def is_intact(self, staged: Staged) -> bool:
        """Whether the file still has the content that was fetched; reads all of it."""
        with self.path_of(staged.address).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == staged.sha256

    def keep(self, staged: Staged, part: Path) -> None:
        """Put a whole file in its place."""
        path = self.path_of(staged.address)
        part.replace(path)
        write_json(_note(path), asdict(staged))

    def use(self, address: str) -> None:
        """Say that a picture is needed now."""
        _note(self.path_of(address)).touch()

    def make_room(self, needed: int, bound: int, keep: Collection[Path]) -> int:
        """Remove pictures until what is there and what comes fits the bound; what was used longest ago goes first.

        Args:
            needed: bytes that will come.
            bound: bytes.
            keep: files that are needed now.

        Returns:
            How many pictures were removed.
        """
        kept = frozenset(keep)
        found = sorted(self._files())
        left = sum(size for _, size, _ in found) + needed - bound
        removed = 0
        for _, size, path in found:
            if left <= 0:
                break
            if path not in kept:
                _note(path).unlink(missing_ok=True)
                path.unlink(missing_ok=True)
                left -= size
                removed += path.suffix != PART
        return removed

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """Yield time of last use, bytes and path of every picture and half-brought one."""
        for folder in _folders(self.folder):
            with os.scandir(folder) as entries:
                for entry in entries:
                    path = Path(entry.path)
                    if path.suffix == _NOTE or not entry.is_file(follow_symlinks=False):
                        continue
                    state = entry.stat(follow_symlinks=False)
                    note = _note(path)
                    used = note.stat().st_mtime if note.exists() else state.st_mtime
                    yield used, state.st_size, path


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


def _note(path: Path) -> Path:
    return path.with_name(path.name + _NOTE)
