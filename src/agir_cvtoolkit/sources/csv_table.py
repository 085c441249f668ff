"""A CSV that someone else wrote, as rows of text."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from agir_cvtoolkit.errors import DataError

_LARGEST_FIELD = 10_000_000
_CORRECT = "Correct the file; it must be UTF-8 text with one header line."


def read_table(path: Path) -> tuple[list[str], list[dict[str, str | None]]]:
    """Read a CSV separated by commas, semicolons or tabs.

    Returns:
        The columns, and the rows; values are stripped, an empty one is None.

    Raises:
        DataError: no such file, not UTF-8, no header, a column twice, or a line of another length.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text: {error.reason} at byte {error.start}", _CORRECT
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "Name the CSV file.") from error
    if "\x00" in text:
        raise DataError(f"{path} holds binary data", _CORRECT)
    first_line = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(",;\t", key=first_line.count)
    csv.field_size_limit(_LARGEST_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        lines = [(reader.line_num, line) for line in reader if any(field.strip() for field in line)]
    except csv.Error as error:
        raise DataError(f"{path} line {reader.line_num}: {error}", _CORRECT) from error
    if not lines:
        raise DataError(f"{path} is empty", _CORRECT)
    columns = [name.strip() for name in lines[0][1]]
    _check_header(path, columns)
    rows: list[dict[str, str | None]] = []
    for number, line in lines[1:]:
        if len(line) != len(columns):
            raise DataError(
                f"{path} line {number} has {len(line)} fields, the header {len(columns)}", _CORRECT
            )
        rows.append({name: field.strip() or None for name, field in zip(columns, line, strict=True)})
    return columns, rows


def _check_header(path: Path, columns: list[str]) -> None:
    seen: set[str] = set()
    for number, name in enumerate(columns, start=1):
        if not name:
            raise DataError(f"column {number} of {path} has no name", _CORRECT)
        if name.lower() in seen:
            raise DataError(
                f"column '{name}' stands twice in {path}", "Rename one; upper and lower case are the same."
            )
        seen.add(name.lower())
