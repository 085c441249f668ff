"""CSV that keeps apart what SQLite keeps apart.

A missing value is an empty field, an empty text is ``""``. Fields are quoted only where they must be:
delimiter, quote or line break inside, text that is empty, or text that would read as a number in a column
that may hold numbers. Everything else is the CSV of RFC 4180, UTF-8, lines ending in ``\\n``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TextIO

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.records import FieldValue

from .table import Kind

_MUST_QUOTE = re.compile(r'[",\r\n]')
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_DUBIOUS = (str, bool)
_FIELD = re.compile(r'(?:"((?:[^"]|"")*)"|([^",]*))(,|$)')


def line_writer(kinds: Sequence[Kind]) -> Callable[[Sequence[FieldValue]], str]:
    """Return what turns a row into a line, its end included.

    Args:
        kinds: kind of values of each column.
    """
    dubious = [number for number, kind in enumerate(kinds) if kind != "text"]

    def line(row: Sequence[FieldValue]) -> str:
        plain = ["" if value is None else value if type(value) is str else repr(value) for value in row]
        text = ",".join(plain)
        # Most rows need no quotes at all, and six looks tell so.
        if (
            '"' in text
            or "\n" in text
            or "\r" in text
            or text.count(",") >= len(row)
            or "" in row
            or any(type(row[number]) in _DUBIOUS for number in dubious)
        ):
            text = ",".join(_field(value, kind) for value, kind in zip(row, kinds, strict=True))
        return f"{text}\n"

    return line


def header(columns: Sequence[str]) -> str:
    """Return the first line, its end included."""
    return line_writer(["text"] * len(columns))(columns)


def read(stream: TextIO, kinds: Mapping[str, Kind]) -> Iterator[dict[str, FieldValue]]:
    """Read lines as rows.

    Args:
        stream: opened with ``newline=""``.
        kinds: kind of each column; a column that is not named here is read as text.

    Raises:
        DataError: a line has another number of fields than the first, or a quote does not end.
    """
    lines = _logical_lines(stream)
    first = next(lines, None)
    if first is None:
        return
    columns = [text for text, _ in _fields(first[1], first[0])]
    for number, line in lines:
        if not line and len(columns) > 1:
            continue
        fields = _fields(line, number)
        if len(fields) != len(columns):
            raise DataError(
                f"line {number} of the query result has {len(fields)} fields, its header {len(columns)}",
                "Run the query again.",
            )
        yield {
            name: _restored(text, quoted, kinds.get(name, "text"))
            for name, (text, quoted) in zip(columns, fields, strict=True)
        }


def _field(value: FieldValue, kind: Kind) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(int(value)) if isinstance(value, bool) else repr(value)
    if not value or _MUST_QUOTE.search(value) or (kind != "text" and _NUMBER.fullmatch(value)):
        return '"' + value.replace('"', '""') + '"'
    return value


def _logical_lines(stream: TextIO) -> Iterator[tuple[int, str]]:
    kept, start = "", 1
    for number, line in enumerate(stream, start=1):
        start = start if kept else number
        kept += line
        if kept.count('"') % 2 == 0:
            content = kept.removesuffix("\n").removesuffix("\r")
            yield start, content
            kept = ""
    if kept:
        raise DataError(
            f"line {start} of the query result has a quote that does not end", "Run the query again."
        )


def _fields(line: str, number: int) -> list[tuple[str, bool]]:
    fields: list[tuple[str, bool]] = []
    at = 0
    while True:
        found = _FIELD.match(line, at)
        if found is None:
            raise DataError(f"line {number} of the query result is damaged", "Run the query again.")
        quoted = found[1] is not None
        fields.append((found[1].replace('""', '"') if quoted else found[2], quoted))
        at = found.end()
        if not found[3]:
            return fields


def _restored(text: str, quoted: bool, kind: Kind) -> FieldValue:
    if quoted:
        return text
    if not text:
        return None
    if kind == "text" or not _NUMBER.fullmatch(text):
        return text
    return int(text) if _INTEGER.fullmatch(text) else float(text)
