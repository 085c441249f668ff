"""Rows to Parquet, some thousand at a time, with the narrowest type that holds all of a column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from agir_cvtoolkit.errors import MissingExtraError
from agir_cvtoolkit.records import FieldValue

from .table import Kind

Type = Literal["integer", "number", "text"]

_AT_ONCE = 2000
_GROUP_BYTES = 16_000_000
"""The end of a file tells of each group of its rows, and is held until it is written."""

_WHOLE = 2**63
_WIDTH: dict[Type, int] = {"integer": 0, "number": 1, "text": 2}
_FIRST: dict[Kind, Type] = {"integer": "integer", "number": "integer", "any": "integer", "text": "text"}


def library() -> tuple[Any, Any]:
    """Return pyarrow and its module for Parquet.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("a query result in parquet", "parquet") from error
    return pyarrow, pyarrow.parquet


def write(path: Path, kinds: Mapping[str, Kind], rows: Iterable[Sequence[FieldValue]]) -> int:
    """Write rows, and return their number.

    SQLite may hold a text in a column of numbers. A value that does not fit into the type that its column has
    had so far makes the type wider, and what was written is written again, as little of it at once.

    Args:
        path: of the new file; another beside it is used while a type is made wider.
        kinds: kind of each column, in the order of a row.
        rows: the result.
    """
    types: tuple[Type, ...] = tuple(_FIRST[kind] for kind in kinds.values())
    file = _File(path, tuple(kinds), types)
    count = 0
    try:
        for chunk in _chunks(rows):
            columns = list(zip(*chunk, strict=True))
            needed = tuple(
                max(known, _type_of(values), key=_WIDTH.__getitem__)
                for known, values in zip(file.types, columns, strict=True)
            )
            if needed != file.types:
                file = file.widened(needed)
            file.append(columns)
            count += len(chunk)
    finally:
        file.close()
    file.path.replace(path)
    return count


class _File:
    def __init__(self, path: Path, names: tuple[str, ...], types: tuple[Type, ...]) -> None:
        self.path, self.names, self.types = path, names, types
        arrow, parquet = library()
        made = {"integer": arrow.int64(), "number": arrow.float64(), "text": arrow.string()}
        self._schema = arrow.schema([(name, made[type_]) for name, type_ in zip(names, types, strict=True)])
        self._writer = parquet.ParquetWriter(path, self._schema)
        self._group: list[Any] = []

    def append(self, columns: Sequence[Sequence[FieldValue]]) -> None:
        arrow, _ = library()
        arrays = []
        for type_, values, field in zip(self.types, columns, self._schema, strict=True):
            try:
                arrays.append(arrow.array(values, type=field.type))
            except (arrow.ArrowException, UnicodeEncodeError):
                # A number among texts, a whole number that no float is, half a character.
                arrays.append(arrow.array([_as(type_, value) for value in values], type=field.type))
        self._group.append(arrow.Table.from_arrays(arrays, schema=self._schema))
        if sum(table.nbytes for table in self._group) >= _GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        arrow, _ = library()
        if self._group:
            table = arrow.concat_tables(self._group)
            self._writer.write_table(table, row_group_size=len(table))
            self._group.clear()

    def widened(self, types: tuple[Type, ...]) -> _File:
        self.close()
        wider = _File(self.path.with_name(f"{self.path.name}-wider"), self.names, types)
        _, parquet = library()
        with parquet.ParquetFile(self.path) as written:
            for batch in written.iter_batches(_AT_ONCE):
                wider.append([column.to_pylist() for column in batch.columns])
        self.path.unlink()
        return wider

    def close(self) -> None:
        self._write_group()
        self._writer.close()


def _chunks(rows: Iterable[Sequence[FieldValue]]) -> Iterator[list[Sequence[FieldValue]]]:
    left = iter(rows)
    while chunk := list(islice(left, _AT_ONCE)):
        yield chunk


def _type_of(values: Iterable[FieldValue]) -> Type:
    found = set(map(type, values))
    if str in found:
        return "text"
    return "number" if float in found or not all(map(_is_whole, values)) else "integer"


def _is_whole(value: FieldValue) -> bool:
    return value is None or (isinstance(value, int) and -_WHOLE <= value < _WHOLE)


def _as(type_: Type, value: FieldValue) -> FieldValue:
    if value is None:
        return None
    if type_ == "text":
        return value.encode("utf-8", "replace").decode() if isinstance(value, str) else repr(value)
    return value if type_ == "integer" else float(value)
