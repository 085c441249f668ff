"""The manifest of predictions: appended line by line, durable, and read although a line was torn."""

from __future__ import annotations

import os
from pathlib import Path

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.records import ManifestEntry


def append_line(path: Path, entry: ManifestEntry) -> None:
    """Append one line durably; a torn line of a killed process is dropped before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = (entry.to_json() + "\n").encode("utf-8", "surrogatepass")
    _mend_tail(path)
    with path.open("ab") as stream:
        stream.write(line)
        stream.flush()
        os.fsync(stream.fileno())


def read_lines(path: Path) -> list[ManifestEntry]:
    """Read a manifest; the last line of a record wins, a torn last line is ignored.

    Raises:
        DataError: a line in the middle is damaged.
    """
    entries: dict[str, ManifestEntry] = {}
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = ManifestEntry.from_json(line.decode("utf-8", "surrogatepass"))
        except ValueError as error:
            if number == len(lines):
                continue
            again = "Select again." if path.parent.name == "select" else "Run infer-seg again."
            raise DataError(f"{path} line {number} is damaged: {error}", again) from error
        entries[entry.record_id] = entry
    return list(entries.values())


def _mend_tail(path: Path) -> None:
    if not path.is_file() or path.stat().st_size == 0:
        return
    with path.open("rb+") as stream:
        stream.seek(-1, os.SEEK_END)
        if stream.read(1) == b"\n":
            return
        stream.seek(0)
        content = stream.read()
        start = content.rfind(b"\n") + 1
        try:
            ManifestEntry.from_json(content[start:].decode("utf-8", "surrogatepass"))
            stream.write(b"\n")
        except ValueError:
            stream.truncate(start)
