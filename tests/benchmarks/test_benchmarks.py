"""Each benchmark runs on little work; gates are for real sizes and a quiet machine."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from benchmarks._field_masks import field_masks
from benchmarks._table import Row, finish

from agir_cvtoolkit.pictures import save_png
from benchmarks import __main__ as everything
from benchmarks import (
    mask_encoding,
    memory,
    pose_return,
    push_pull,
    query,
    reading,
    scale,
    startup,
    task_creation,
)


def test_missed_gate_ends_with_1_and_stands_in_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held, missed = Row("a", "1 s", "2 s", "2", "<= 3", True), Row("b", "1 s", "4 s", "4", "<= 3", False)
    shown = Row("c", "", "5 s")
    assert finish("t", [held, shown], None) == 0
    assert finish("t", [held, missed], tmp_path / "t.json") == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines if line.startswith(("a ", "b "))] == ["ok", "ok", "miss"]
    assert [row["ok"] for row in json.loads((tmp_path / "t.json").read_text())["rows"]] == [True, False]


def test_field_masks_keep_their_outline_and_share_when_enlarged(tmp_path: Path) -> None:
    mask = np.zeros((60, 80), dtype=np.uint8)
    mask[20:40, 10:50] = 255
    save_png(mask, tmp_path / "m.png")
    found = field_masks(tmp_path, 9, megapixels=0.0768)
    assert {packed.shape for packed in found} == {(240, 320), (320, 240)}
    for packed in found:
        assert packed.unpacked().mean() == pytest.approx(800 / 4800, rel=0.01)
    assert not np.array_equal(found[0].unpacked(), found[2].unpacked())
    assert np.array_equal(found[0].unpacked(), found[8].unpacked())


def test_mask_encoding_compares_equal_requests() -> None:
    options = mask_encoding.options_of(["--count", "2", "--rounds", "1", "--megapixels", "0.2"])
    rows = mask_encoding.measure(options)
    assert len(rows) == 6
    assert [row.gate for row in rows] == [">= 8x", ">= 1x", "", ">= 1x", ">= 1x", ">= 8x"]


@pytest.mark.integration
def test_task_creation_sends_what_the_script_sends() -> None:
    options = task_creation.options_of(
        ["--pictures", "2", "--size", "320x240", "--rounds", "1", "--work", "0", "--no-sdk"]
    )
    (row,) = task_creation.measure(options)
    assert row.gate == "<= 1.15"
    assert float(row.ratio) > 0


@pytest.mark.integration
def test_memory_measures_commands_in_processes_of_their_own() -> None:
    options = memory.options_of(["--counts", "1", "--size", "160x120", "--large", "640x480", "--no-torch"])
    rows = memory.measure(options)
    assert len(rows) == 3
    peaks = [float(row.ours.split()[-2]) for row in rows]
    assert all(20 < peak < 1000 for peak in peaks)


@pytest.mark.integration
def test_help_imports_nothing_heavy() -> None:
    assert startup.heavy_modules() == []


def test_a_quick_run_of_all_knows_every_option() -> None:
    listed = everything._all(Path("masks"), quick=True)
    assert len({title for _, title, _, _ in listed}) == len(everything.QUICK)
    folder = Path(everything.__file__).parent
    measuring = {p.stem for p in folder.glob("[a-z]*.py") if "def measure(" in p.read_text(encoding="utf-8")}
    # These need pictures that are fetched by hand.
    assert {name for name, _, _, _ in listed} == measuring - {"cwfid", "simulate"}


@pytest.mark.integration
def test_push_and_pull_compares_what_came_back(tmp_path: Path) -> None:
    options = push_pull.options_of(
        ["--pictures", "3", "--size", "320x240", "--large", "0", "--rounds", "1", "--rivals", "floor"]
    )
    rows = push_pull.measure(options)
    assert [row.name.split(",")[0] for row in rows[:2]] == ["push", "pull"]
    assert rows[-1].name.endswith("came back different")
    assert rows[-1].ours == "0"


@pytest.mark.integration
def test_reading_compares_equal_counts() -> None:
    (row,) = reading.measure(
        reading.options_of(["--masks", "6", "--size", "320x240", "--large", "0", "--rounds", "1"])
    )
    assert row.name.startswith("6 masks")


@pytest.mark.integration
def test_scale_counts_requests() -> None:
    rows = scale.measure(scale.options_of(["--counts", "5", "10", "--jobs", "6", "--changed", "2"]))
    read = next(row for row in rows if "annotations read" in row.name)
    assert (read.ours, read.ok) == ("2", True)


@pytest.mark.integration
def test_pose_return_counts_calls_of_the_store() -> None:
    memory_used, calls, *_ = pose_return.measure(pose_return.options_of(["--pictures", "205"]))
    assert (calls.ours, calls.ok) == ("2", True)
    assert memory_used.gate == "<= +100 MB"


def test_query_reads_the_same_rows_as_sql_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "semif.db"
    query.make_table(path, 700)
    with closing(sqlite3.connect(path)) as connection:
        assert len(connection.execute("SELECT * FROM semif").fetchone()) == query.COLUMNS
        assert query.ours(path, query._FILTERED) == query.filtered_by_hand(connection)
        assert query.ours(path, query._RANGED) == query.ranged_by_hand(connection)
        assert query.ours(path, query._STRATIFIED) == query.ranked_by_hash(connection)
