"""The result of a query as a file: ``query.csv``, ``query.json`` or ``query.parquet``, written atomically."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agir_cvtoolkit.errors import MissingExtraError, QueryError, did_you_mean
from agir_cvtoolkit.records import FieldValue
from agir_cvtoolkit.runs import atomic_path

from . import csv_rows
from .table import Kind

FORMATS = ("csv", "json", "parquet")
SPEC_NAME = "query_spec.json"

_WHOLE = 2**63


def result_path(query_dir: Path, out: str) -> Path:
    """Return the file of a format."""
    return query_dir / f"query.{out}"


def check_format(out: str) -> str:
    """Return the format in lower case.

    Raises:
        QueryError: there is no such format.
        MissingExtraError: parquet without the library for it.
    """
    name = out.lower()
    if name not in FORMATS:
        near = did_you_mean(name, FORMATS)
        raise QueryError(f"--out {out} is no format", f"{near} Known: {', '.join(FORMATS)}.".strip())
    if name == "parquet":
        _parquet()
    return name


def write_result(
    query_dir: Path, out: str, kinds: Mapping[str, Kind], rows: Iterable[Sequence[FieldValue]]
) -> int:
    """Write rows to ``query.<out>`` and remove what an earlier query wrote in other formats.

    CSV and JSON are written row by row, so memory does not depend on their number.

    Args:
        query_dir: the run's ``query`` folder.
        out: a format that `check_format` has let pass.
        kinds: kind of values of each column, in the order of the row.
        rows: the result.

    Returns:
        The number of rows.
    """
    path = result_path(query_dir, out)
    with atomic_path(path) as temporary:
        count = {"csv": _write_csv, "json": _write_json, "parquet": _write_parquet}[out](
            temporary, kinds, rows
        )
        for other in FORMATS:
            if other != out:
                result_path(query_dir, other).unlink(missing_ok=True)
    return count


def _write_csv(path: Path, kinds: Mapping[str, Kind], rows: Iterable[Sequence[FieldValue]]) -> int:
    of_column = list(kinds.values())
    count = 0
    with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as stream:
        stream.write(csv_rows.header(list(kinds)) + "\n")
        for row in rows:
            stream.write(csv_rows.written(row, of_column) + "\n")
            count += 1
    return count


def _write_json(path: Path, kinds: Mapping[str, Kind], rows: Iterable[Sequence[FieldValue]]) -> int:
    names = list(kinds)
    encode = json.JSONEncoder(ensure_ascii=False).encode
    count = 0
    with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as stream:
        stream.write("[")
        for row in rows:
            stream.write(",\n" if count else "\n")
            stream.write(encode(dict(zip(names, row, strict=True))))
            count += 1
        stream.write("\n]\n")
    return count


def _write_parquet(path: Path, kinds: Mapping[str, Kind], rows: Iterable[Sequence[FieldValue]]) -> int:
    arrow, parquet = _parquet()
    columns: dict[str, list[FieldValue]] = {name: [] for name in kinds}
    count = 0
    for row in rows:
        for values, value in zip(columns.values(), row, strict=True):
            values.append(value)
        count += 1
    arrays = {name: _arrow_array(arrow, values, kinds[name]) for name, values in columns.items()}
    parquet.write_table(arrow.table(arrays), path)
    return count


def _arrow_array(arrow: Any, values: list[FieldValue], kind: Kind) -> Any:
    present = [value for value in values if value is not None]
    if any(isinstance(value, str) for value in present) or (kind in {"text", "any"} and not present):
        texts = [
            None if v is None else v.encode("utf-8", "replace").decode() if isinstance(v, str) else repr(v)
            for v in values
        ]
        return arrow.array(texts, type=arrow.string())
    if all(isinstance(value, int) and -_WHOLE <= value < _WHOLE for value in present) and (
        present or kind == "integer"
    ):
        return arrow.array(values, type=arrow.int64())
    return arrow.array([None if value is None else float(value) for value in values], type=arrow.float64())


def _parquet() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("a query result in parquet", "parquet") from error
    return pyarrow, pyarrow.parquet
