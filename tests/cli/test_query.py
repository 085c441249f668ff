from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agir_cvtoolkit.cli import main
from agir_cvtoolkit.cli._query_specs import COMMANDS


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("semif.db")) as connection, connection:
        connection.execute("CREATE TABLE semif (cutout_id TEXT, state TEXT)")
        connection.executemany("INSERT INTO semif VALUES (?, ?)", [(f"r{n}", "NC") for n in range(4)])
    return ["-o", "db.semif.db_path=semif.db"]


def _call(*words: str) -> Result:
    return CliRunner().invoke(main, ["query", *words])


def test_a_query_is_shown_made_again_and_compared(database: list[str]) -> None:
    assert _call(*database, "--limit", "3", "--run", "a").exit_code == 0
    assert _call(*database, "-f", "state=NC", "--run", "b").exit_code == 0
    shown = _call("show", "a")
    assert "Again          agir-cvtoolkit query --db semif --limit 3 --out csv" in shown.output
    assert json.loads(_call("show", "--json").stdout)["content"]["query_metadata"]["run_id"] == "b"
    assert _call("reproduce", "a", "--run", "c").output.startswith("3 records now, 3 then: the same records")
    compared = _call("compare", "a", "b").output
    assert "limit              3  |  None" in compared
    assert "3 records in both, 0 of them changed" in compared
    assert "1 only in the second: r3" in compared
    with closing(sqlite3.connect("semif.db")) as connection, connection:
        connection.execute("DELETE FROM semif WHERE cutout_id = 'r0'")
    again = _call("reproduce", "b", "--dry-run")
    assert (again.exit_code, again.output) == (4, "3 records now, 4 then: other records\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_commands_below_have_help_and_the_common_options(name: str) -> None:
    help_text = _call(name, "--help").output
    assert f"query {name}" in help_text
    assert f"agir-cvtoolkit query {name}" in help_text
    for option in ("--dry-run", "--json", "--run", "--override", "--config", "--verbose", "--quiet"):
        assert option in help_text
    assert f"query {name}" in _call("--help").output


def test_a_filter_that_is_not_understood_is_shown_with_the_place(database: list[str]) -> None:
    result = _call(*database, "-f", "state NC")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[:3] == [
        "Error: Filter cannot be understood: 'state' is not followed by a comparison",
        "    state NC",
        "          ^",
    ]


def test_the_contact_sheet_has_a_place_of_its_own(database: list[str]) -> None:
    result = _call(*database, "--preview", "2", "--contact-sheet", "--json")
    assert json.loads(result.stdout)["sheet"] == "outputs/query_preview.jpg"
    assert Path("outputs/query_preview.jpg").is_file()
    assert (
        json.loads(_call(*database, "--preview", "2", "--contact-sheet", "x.jpg", "--json").stdout)["sheet"]
        == "x.jpg"
    )
