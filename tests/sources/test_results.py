from __future__ import annotations

import csv
import io
import json
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.errors import DataError, MissingExtraError, NoRunError, QueryError
from agir_cvtoolkit.records import FieldValue
from agir_cvtoolkit.sources import csv_rows
from agir_cvtoolkit.sources.reading import read_rows, result_file
from agir_cvtoolkit.sources.results import check_format, write_result
from agir_cvtoolkit.sources.spec import StoredSpec
from agir_cvtoolkit.sources.table import Kind

KINDS: dict[str, Kind] = {"id": "text", "n": "integer", "x": "number", "any": "any"}
ROWS: list[tuple[FieldValue, ...]] = [
    ("a", 1, 0.1, None),
    ("", None, None, "5"),
    ('say "hi", now', -3, 1e300, 5),
    ("line\nbreak\r\nand\rmore", 0, -0.0, ""),
    ("007", 2**63 - 1, 5.0, 2.5),
    (None, -(2**63), float("inf"), "ü 植物"),
]


@pytest.mark.parametrize("out", ["csv", "json", "parquet"])
def test_what_is_written_is_read_back(tmp_path: Path, out: str) -> None:
    if out == "parquet":
        pytest.importorskip("pyarrow")
    rows = ROWS if out != "parquet" else [(*row[:3], None if row[3] is None else str(row[3])) for row in ROWS]
    assert write_result(tmp_path, out, KINDS, iter(rows)) == len(rows)
    spec = StoredSpec(output_format=out, kinds=KINDS)
    read = [tuple(row.values()) for row in read_rows(result_file(tmp_path, spec), spec)]
    assert read == rows
    assert [[type(v) for v in row] for row in read] == [[type(v) for v in row] for row in rows]


_VALUES = st.none() | st.text(max_size=6) | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
_TEXTS = st.none() | st.text(max_size=6)


@given(st.lists(st.tuples(_TEXTS, _VALUES), max_size=5))
def test_csv_keeps_every_value(rows: list[tuple[FieldValue, FieldValue]]) -> None:
    kinds: dict[str, Kind] = {"id": "text", "any": "any"}
    line = csv_rows.line_writer(list(kinds.values()))
    text = csv_rows.header(list(kinds)) + "".join(map(line, rows))
    stream = io.StringIO(text, newline="")
    assert [tuple(row.values()) for row in csv_rows.read(stream, kinds)] == rows
    as_others_read = list(csv.reader(io.StringIO(text, newline="")))
    assert [row[0] for row in as_others_read[1:]] == ["" if row[0] is None else row[0] for row in rows]


def test_csv_of_one_column_keeps_missing_values() -> None:
    stream = io.StringIO('id\n\na\n""\n', newline="")
    assert [row["id"] for row in csv_rows.read(stream, {})] == [None, "a", ""]


@pytest.mark.parametrize("text", ['id,b\n"a,1\n', "id,b\na\n", "id,b\na,1,2\n", 'id,b\n"a"x,1\n'])
def test_damaged_csv(text: str) -> None:
    with pytest.raises(DataError):
        list(csv_rows.read(io.StringIO(text, newline=""), {}))


def test_a_newer_result_removes_older_ones(tmp_path: Path) -> None:
    write_result(tmp_path, "json", KINDS, ROWS)
    write_result(tmp_path, "csv", KINDS, ROWS)
    assert [path.name for path in tmp_path.iterdir()] == ["query.csv"]
    assert result_file(tmp_path, StoredSpec(output_format="json")).name == "query.csv"


def test_a_failing_query_leaves_the_older_result(tmp_path: Path) -> None:
    def failing() -> Iterator[tuple[FieldValue, ...]]:
        yield ROWS[0]
        raise RuntimeError("gone")

    write_result(tmp_path, "json", KINDS, ROWS)
    with pytest.raises(RuntimeError):
        write_result(tmp_path, "csv", KINDS, failing())
    assert [path.name for path in tmp_path.iterdir()] == ["query.json"]


@pytest.mark.parametrize("out", ["csv", "json", "parquet"])
def test_memory_does_not_grow_with_the_result(tmp_path: Path, out: str) -> None:
    if out == "parquet":
        pytest.importorskip("pyarrow")

    def peak(count: int) -> int:
        tracemalloc.start()
        write_result(tmp_path, out, KINDS, (("x" * 1000 + str(n), n, 0.5, None) for n in range(count)))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)
    assert peak(12_000) < 1.2 * peak(6000) + 200_000


@pytest.mark.parametrize(("count", "letters", "groups"), [(10_000, 10, 1), (5000, 5000, 2)])
def test_parquet_has_few_groups_of_rows_for_each_is_remembered(
    tmp_path: Path, count: int, letters: int, groups: int
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_result(tmp_path, "parquet", {"id": "text"}, (("x" * letters,) for _ in range(count)))
    with parquet.ParquetFile(tmp_path / "query.parquet") as written:
        assert (written.metadata.num_rows, written.metadata.num_row_groups) == (count, groups)


def test_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_format("JSON") == "json"
    with pytest.raises(QueryError, match=r"Did you mean 'parquet'\?"):
        check_format("parket")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"agir-cvtoolkit\[parquet\]"):
        check_format("parquet")


def test_no_or_damaged_result(tmp_path: Path) -> None:
    with pytest.raises(NoRunError, match="agir-cvtoolkit query"):
        result_file(tmp_path, StoredSpec())
    for name, content in (("query.json", b"[{"), ("query.json", b"{}"), ("query.csv", b"id\n\xff\xfe\n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="Run the query again"):
            list(read_rows(tmp_path / name, StoredSpec()))
    pytest.importorskip("pyarrow")
    (tmp_path / "query.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(DataError):
        list(read_rows(tmp_path / "query.parquet", StoredSpec()))


def test_json_is_a_list_of_rows(tmp_path: Path) -> None:
    write_result(tmp_path, "json", KINDS, [])
    assert json.loads((tmp_path / "query.json").read_text()) == []
    write_result(tmp_path, "json", KINDS, ROWS[:1])
    assert json.loads((tmp_path / "query.json").read_text()) == [{"id": "a", "n": 1, "x": 0.1, "any": None}]


def test_parquet_makes_a_column_wider_when_a_late_value_needs_it(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    kinds: dict[str, Kind] = {"id": "text", "n": "integer", "x": "number", "any": "any", "none": "any"}
    rows: list[tuple[FieldValue, ...]] = [(f"r{n}", n, n, None, None) for n in range(6000)]
    rows += [("late", "unknown", 0.5, 2**70, None)]
    assert write_result(tmp_path, "parquet", kinds, iter(rows)) == 6001
    table = parquet.read_table(tmp_path / "query.parquet")
    assert [str(field.type) for field in table.schema] == ["string", "string", "double", "double", "int64"]
    assert table.column("n").to_pylist()[3998:4001] == ["3998", "3999", "4000"]
    assert table.column("x").to_pylist()[-1] == 0.5
    assert [path.name for path in tmp_path.iterdir()] == ["query.parquet"]
