"""CSV files before an engine reads them: how they are written, and where one is broken."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

_HEADER_BYTES = 1 << 18
_LARGEST_FIELD = 10_000_000


def header_of(path: Path) -> tuple[str, list[str]]:
    """Return what separates the fields, a comma, semicolon or tab, and the names in the first line."""
    with _opened(path) as stream:
        start = stream.read(_HEADER_BYTES).decode("utf-8-sig", "replace")
    line = next((found for found in start.splitlines() if found.strip()), "")
    delimiter = max(",;\t", key=line.count)
    return delimiter, [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]


def fault_of(path: Path, delimiter: str) -> str | None:
    """Return in words the first line that breaks the rules of a CSV, None where none does."""
    csv.field_size_limit(_LARGEST_FIELD)
    with _opened(path) as stream:
        reader = csv.reader(_decoded(stream), delimiter=delimiter, strict=True)
        fields = None
        try:
            for row in reader:
                if fields is not None and row and len(row) != fields:
                    return f"line {reader.line_num} has {len(row)} fields, the header {fields}"
                fields = fields or len(row)
        except csv.Error as error:
            return f"line {reader.line_num}: {error}"
        except UnicodeDecodeError as error:
            return f"line {reader.line_num + 1} is not UTF-8: {error.reason}"
    return None


def _opened(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")


def _decoded(lines: BinaryIO) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield line.decode("utf-8-sig" if number == 0 else "utf-8")
