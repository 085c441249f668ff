"""The result of a query as a file: ``query.csv``, ``query.json`` or ``query.parquet``, written atomically."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from agir_cvtoolkit.errors import QueryError, did_you_mean
from agir_cvtoolkit.records import FieldValue
from agir_cvtoolkit.runs import atomic_path

from . import csv_rows, parquet_rows
from .table import Kind

FORMATS = ("csv", "json", "parquet")
SPEC_NAME = "query_spec.json"
EXCLUDED_NAME = "excluded.txt"


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
        parquet_rows.library()
    return name


def write_result(
    query_dir: Path, out: str, kinds: Mapping[str, Kind], rows: Iterable[Sequence[FieldValue]]
) -> int:
    """Write rows to ``query.<out>`` and remove what an earlier query wrote in other formats.

    Rows are written as they come, so memory does not depend on their number.

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
        count = {"csv": _write_csv, "json": _write_json, "parquet": parquet_rows.write}[out](
            temporary, kinds, rows
        )
        for other in FORMATS:
            if other != out:
                result_path(query_dir, other).unlink(missing_ok=True)
    return count


def _write_csv(path: Path, kinds: Mapping[str, Kind], rows: Iterable[Sequence[FieldValue]]) -> int:
    line = csv_rows.line_writer(list(kinds.values()))
    count = 0
    with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as stream:
        stream.write(csv_rows.header(list(kinds)))
        for row in rows:
            stream.write(line(row))
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
