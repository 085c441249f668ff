"""``runs list``, ``runs show`` and what they count on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agir_cvtoolkit.errors import NoRunError
from agir_cvtoolkit.runs import Run, start_run
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages._disk import held_by, size_text
from agir_cvtoolkit.stages.runs_list import runs_list, runs_show


@pytest.fixture
def out_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "outputs" / "runs"


def queried(out_root: Path, name: str, sub: str | None = None) -> Run:
    run = start_run(out_root, name, sub)
    stage_pass = run.begin("query", "f", ())
    run.write_metrics("query", {"count": 7})
    run.finish(stage_pass)
    return run


def test_runs_are_listed_with_what_they_hold(out_root: Path) -> None:
    queried(out_root, "barley", "spring")
    second = queried(out_root, "wheat")
    (second.root / "images").mkdir()
    (second.root / "images" / "a.png").write_bytes(b"x" * 5000)
    found = runs_list(Call()).runs
    assert [(run.run_id, run.current, run.records, run.tasks) for run in found] == [
        ("barley/spring", False, 7, 0),
        ("wheat", True, 7, 0),
    ]
    assert all(run.stages == ("query",) and run.started for run in found)
    assert found[1].bytes - found[0].bytes >= 4900


def test_a_run_is_shown_with_stages_and_files(out_root: Path) -> None:
    first = queried(out_root, "barley", "spring")
    first.begin("infer-seg", "g", ())
    queried(out_root, "wheat")
    shown = runs_show("barley/spring", Call())
    assert [(stage.stage, stage.state, stage.passes) for stage in shown.stages] == [
        ("query", "done", 1),
        ("infer-seg", "started", 1),
    ]
    assert shown.stages[0].metrics["count"] == 7
    assert [entry.name for entry in shown.files] == [".state/", "metrics.json"]
    assert runs_show(None, Call()).summary.run_id == "wheat"
    with pytest.raises(NoRunError, match="barley/autumn"):
        runs_show("barley/autumn", Call())


def test_no_runs_is_an_empty_list(out_root: Path) -> None:
    assert runs_list(Call()).runs == ()


def test_a_file_of_two_names_counts_once_and_is_freed_only_with_both(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "one").write_bytes(b"x" * 100)
    os.link(folder / "one", folder / "two")
    os.link(folder / "one", tmp_path / "outside")
    (folder / "link").symlink_to(tmp_path)
    held = held_by(folder)
    assert held.bytes < 200 + len(str(tmp_path))
    assert held.freed < 100
    (tmp_path / "outside").unlink()
    assert held_by(folder).freed >= 100
    assert held_by(tmp_path / "missing").files == 0


def test_sizes_for_people() -> None:
    assert [size_text(n) for n in (0, 999, 1000, 123_456, 5_600_000, 7_000_000_000_000)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "123 kB",
        "5.6 MB",
        "7.0 TB",
    ]
