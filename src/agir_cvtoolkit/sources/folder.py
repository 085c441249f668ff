"""Records of a folder of pictures, without any database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.records import Record

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".jp2", ".pgm", ".ppm"}
)


def folder_records(folder: Path) -> list[Record]:
    """Return one record for each picture in a folder and in the folders below it, in the order of their names.

    A record's id is the picture's name without suffix; where two pictures share it, the path below the folder. Hidden
    files, and folders that are links, are left out.

    Raises:
        UsageError: it is no folder, or there is no picture in it.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", "Name a folder of pictures.")
    paths = sorted(_pictures(folder))
    if not paths:
        raise UsageError(
            f"there is no picture in {folder}", f"Pictures end in {', '.join(sorted(SUFFIXES))}."
        )
    relative = [PurePosixPath(path.relative_to(folder).as_posix()) for path in paths]
    stems = Counter(path.stem for path in relative)
    whole = Counter(str(path.with_suffix("")) for path in relative)
    records = []
    for path, below in zip(paths, relative, strict=True):
        without = str(below.with_suffix(""))
        name = below.stem if stems[below.stem] == 1 else without if whole[without] == 1 else str(below)
        records.append(Record(name, path.absolute()))
    return records


def _pictures(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {error.strerror}", "Check its permissions.") from error
    for path in entries:
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if not path.is_symlink():
                yield from _pictures(path)
        elif path.suffix.lower() in SUFFIXES and path.is_file():
            yield path
