"""What is read from a file of another format, and what of it cannot be taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.labelled import LabelledSet
from agir_cvtoolkit.records import Item

MOST_ITEMS = 10_000
"""More are counted and not listed: a broken file may have millions."""
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")


@dataclass
class Problems:
    """What could not be taken, filled while the pictures are read.

    Attributes:
        items: the first of them, each with its record.
        unlisted: how many more there are.
        notes: what was taken, but not as it was; counted by what it is.
    """

    items: list[Item] = field(default_factory=list)
    unlisted: int = 0
    notes: Counter[str] = field(default_factory=Counter)

    def add(self, record_id: str, reason: str, outcome: str = "failed") -> None:
        """List something that is left out."""
        if len(self.items) < MOST_ITEMS:
            self.items.append(Item(record_id[:300], outcome, reason[:600]))
        else:
            self.unlisted += 1


@dataclass(frozen=True, eq=False)
class Incoming:
    """A set as it is read from a file.

    Attributes:
        labelled: the set; its pictures are read when they are asked for.
        problems: filled by then.
    """

    labelled: LabelledSet
    problems: Problems


class PictureFinder:
    """Finds the pictures that a file names, in the folders where they may lie, and nowhere else."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [folder.resolve() for folder in folders if folder.is_dir()]
        self._by_name: dict[str, list[Path]] | None = None

    def find(self, name: str) -> Path | None:
        """Return the picture of a name: at that path below a folder, else the only one of that file name.

        Raises:
            DataError: the name leads out of the folders, or several pictures are called so.
        """
        relative = safe_name(name)
        for folder in self._folders:
            path = folder / relative
            if path.is_file():
                return path
        found = self._listed().get(relative.name, [])
        if len(found) > 1:
            raise DataError(
                f"{len(found)} pictures are called {relative.name}", "Name the folder that is meant."
            )
        return found[0] if found else None

    def of_stem(self, relative: PurePosixPath) -> Path | None:
        """Return the picture that has a label file's name but for the suffix."""
        for folder in self._folders:
            for suffix in PICTURE_SUFFIXES:
                for spelled in (suffix, suffix.upper()):
                    path = folder / relative.with_name(relative.name + spelled)
                    if path.is_file():
                        return path
        return None

    def _listed(self) -> dict[str, list[Path]]:
        if self._by_name is None:
            self._by_name = {}
            seen: set[Path] = set()
            for folder in self._folders:
                for path in folder.rglob("*"):
                    if path.suffix.lower() in PICTURE_SUFFIXES and path not in seen and path.is_file():
                        seen.add(path)
                        self._by_name.setdefault(path.name, []).append(path)
        return self._by_name


def safe_name(name: str) -> PurePosixPath:
    r"""Return a file's name as a relative path; ``\`` parts folders too.

    Raises:
        DataError: it is absolute, leads upwards, or is no name.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    first = path.parts[0] if path.parts else ""
    unprintable = any(ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in name)
    if not path.name or path.is_absolute() or ".." in path.parts or first.endswith(":") or unprintable:
        raise DataError(
            f"{name[:200]!r} names no file below the pictures' folder", "Correct the name in the file."
        )
    return path


def record_of(picture_name: str) -> str:
    """Return the record that a picture's name stands for: its path without the suffix."""
    path = PurePosixPath(picture_name.replace("\\", "/"))
    return str(path.with_suffix("")) if path.suffix.lower() in PICTURE_SUFFIXES else str(path)
