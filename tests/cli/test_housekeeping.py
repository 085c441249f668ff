"""``runs`` and ``ledger`` on the command line: what is printed, and that nothing goes without --yes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agir_cvtoolkit.cli import main
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.ledger._migrations import MIGRATIONS
from agir_cvtoolkit.runs import start_run


@pytest.fixture
def out_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    out_root = tmp_path / "outputs" / "runs"
    run = start_run(out_root, "barley", "spring")
    run.finish(run.begin("infer-seg", "f", ()))
    run.path("cutouts").mkdir()
    run.path("cutouts", "a.png").write_bytes(b"x" * 2500)
    with Ledger.open(None, out_root):
        pass
    yield out_root
    logging.getLogger("agir_cvtoolkit").handlers = []


def run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), prog_name="agir-cvtoolkit")


def test_runs_are_listed_and_shown(out_root: Path) -> None:
    listed = run("runs", "list")
    assert "* barley/spring" in listed.stdout
    assert "infer-seg" in listed.stdout
    shown = run("runs", "show", "barley/spring")
    assert "2.5 kB       1 files  cutouts/" in shown.stdout
    assert json.loads(run("runs", "list", "--json").stdout)["runs"][0]["run_id"] == "barley/spring"
    assert run("runs", "show", "wheat").exit_code == 2


def test_prune_lists_and_removes_only_when_told(out_root: Path) -> None:
    listed = run("runs", "prune")
    assert listed.exit_code == 0
    assert "barley/spring/cutouts" in listed.stdout
    assert "Remove them with --yes" in listed.stdout
    assert run("runs", "prune", "--yes", "--dry-run").exit_code == 0
    assert (out_root / "barley" / "spring" / "cutouts" / "a.png").is_file()
    assert "Removed 1 thing, 2.5 kB" in run("runs", "prune", "--yes").stdout
    assert not (out_root / "barley" / "spring" / "cutouts").exists()
    assert run("runs", "prune").stdout == "Nothing to remove\n"
    assert run("runs", "prune", "--older-than", "soon").exit_code == 2


def test_the_ledger_moves(out_root: Path, new_schema: Callable[[], str]) -> None:
    start = new_schema()
    planned = run("ledger", "copy", start, "--dry-run")
    assert planned.stdout.startswith("Would copy the ledger to PostgreSQL ")
    done = run("ledger", "copy", start)
    assert done.stdout.startswith(f"Copied {len(MIGRATIONS)} rows to PostgreSQL ")
    assert "name it in io.ledger_url now" in done.stdout
    assert run("ledger", "check", "-o", f"io.ledger_url='{start}'").exit_code == 0
    told = run("doctor", "-o", f"io.ledger_url='{start}'").stdout
    (line,) = (line for line in told.splitlines() if "/postgres: " in line)
    assert "PostgreSQL " in line
    assert "0 pushes, 0 models" in line
    refused = run("ledger", "copy", "postgresql://me:hunter2@127.0.0.1:1/d")
    assert refused.exit_code == 4
    assert "hunter2" not in refused.output


def test_the_ledger_is_copied_and_checked(out_root: Path) -> None:
    assert "checked" in run("ledger", "backup", "copy.db").stdout
    assert run("ledger", "backup", "copy.db").exit_code == 2
    assert run("ledger", "check").stdout == "0 findings; 0 files looked for\n"
    (out_root.parent / "ledger.db").write_bytes(b"nonsense" * 1000)
    for path in out_root.parent.glob("ledger.db-*"):
        path.unlink()
    damaged = run("ledger", "check")
    assert damaged.exit_code == 4
    assert "ledger.db" in damaged.stdout


def test_undo_says_first_that_there_is_no_such_push(out_root: Path) -> None:
    result = run("undo", "Rond1")
    assert result.exit_code == 2
    assert "no push 'Rond1'" in result.stderr
    assert "--yes" not in result.stderr
