"""The result of a query, read back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agir_cvtoolkit.errors import DataError, MissingExtraError, NoRunError
from agir_cvtoolkit.records import FieldValue

from . import csv_rows
from .results import FORMATS, result_path
from .spec import StoredSpec

Row = dict[str, FieldValue]

_AGAIN = "Run the query again."


def result_file(query_dir: Path, spec: StoredSpec) -> Path:
    """Return the file of the newest result: the format that the specification names, else the newest file.

    Raises:
        NoRunError: there is none.
    """
    if spec.output_format in FORMATS and result_path(query_dir, spec.output_format).is_file():
        return result_path(query_dir, spec.output_format)
    there = [path for out in FORMATS if (path := result_path(query_dir, out)).is_file()]
    if not there:
        raise NoRunError(
            f"there is no query result in {query_dir}",
            'Choose records first: agir-cvtoolkit query --db semif --filters "state=NC" --limit 100',
        )
    return max(there, key=lambda path: path.stat().st_mtime_ns)


def read_rows(path: Path, spec: StoredSpec) -> Iterator[Row]:
    """Read the rows of a result; missing values are None in every format.

    Raises:
        DataError: the file is damaged.
        MissingExtraError: parquet without the library for it.
    """
    try:
        if path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", errors="surrogatepass", newline="") as stream:
                yield from csv_rows.read(stream, spec.kinds)
        elif path.suffix == ".json":
            yield from _json_rows(path)
        else:
            yield from _parquet_rows(path)
    except (UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}", _AGAIN) from error


def _json_rows(path: Path) -> Iterator[Row]:
    try:
        content: Any = json.loads(path.read_bytes().decode("utf-8-sig", "surrogatepass"))
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}", _AGAIN) from error
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise DataError(f"{path} is not a list of rows", _AGAIN)
    for row in content:
        yield {str(name): _plain(value) for name, value in row.items()}


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("a query result in parquet", "parquet") from error
    try:
        batches = pyarrow.parquet.ParquetFile(path).iter_batches(1000)
        for batch in batches:
            for row in batch.to_pylist():
                yield {str(name): _plain(value) for name, value in row.items()}
    except pyarrow.ArrowException as error:
        raise DataError(f"{path} is damaged: {error}", _AGAIN) from error


def _plain(value: object) -> FieldValue:
    if isinstance(value, float) and math.isnan(value):
        return None
    if value is None or isinstance(value, str | int | float):
        return value
    return json.dumps(value, default=str)
