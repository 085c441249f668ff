"""Ledgers of earlier versions, as those versions made them, opened by this one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import insert, inspect
from sqlalchemy.exc import IntegrityError

from agir_cvtoolkit.ledger import JobWork, Ledger, check_database

from . import of_version_five
from .conftest import changing
from .test_ledger import entry, originals_of

FIRST, SECOND, MASK = "ab" * 32, "ba" * 32, "cd" * 32


def predicted(record_id: str) -> dict[str, object]:
    return {
        "run_id": "run",
        "record_id": record_id,
        "image_sha256": FIRST,
        "mask_sha256": MASK,
        "model": "excess_green",
        "uncertainty": 0.25,
        "mask_path": "masks/x.png",
        "created": "2026-01-01",
    }


@pytest.fixture
def of_five(url: str, out_root: Path) -> str:
    """A ledger with three predictions, of which one is gone, and a champion."""
    out_root.parent.mkdir(parents=True)
    model = {"version": "v", "path": "/m", "name": "m", "card": "{}", "created": "2026", "is_champion": True}
    with changing(url) as connection:
        of_version_five.make(connection)
        rows = [predicted(f"MD_{n}") for n in (1, 2, 3)]
        connection.execute(insert(of_version_five.PREDICTIONS), rows)
        connection.execute(insert(of_version_five.MODELS).values(model))
        connection.exec_driver_sql("delete from predictions where record_id = 'MD_2'")
    return url


def test_a_prediction_of_a_second_original_finds_room_beside_the_first(of_five: str, out_root: Path) -> None:
    again = replace(entry(), sha256=SECOND)
    with Ledger.open(of_five, out_root) as ledger:
        ledger.record_predictions("run", [(again, MASK), (again, MASK)])
    assert originals_of(of_five) == [
        ("MD_1", FIRST, 0.25),
        ("MD_3", FIRST, 0.25),
        ("MD_1", SECOND, again.uncertainty),
    ]
    assert check_database(of_five, out_root) == []
    with changing(of_five) as connection:
        assert "predictions_by_record" in {i["name"] for i in inspect(connection).get_indexes("predictions")}
        with pytest.raises(IntegrityError), connection.begin_nested():
            connection.execute(insert(of_version_five.PREDICTIONS).values(predicted("MD_1")))


def test_what_was_there_is_kept_beside_it(of_five: str, out_root: Path) -> None:
    with Ledger.open(of_five, out_root):
        pass
    saved = f"sqlite:///{out_root.parent}/ledger.db.before-006_where_it_lies.bak"
    assert [row[0] for row in originals_of(saved)] == ["MD_1", "MD_3"]


def test_models_stay_in_service(of_five: str, out_root: Path) -> None:
    with Ledger.open(of_five, out_root) as ledger:
        champion = ledger.champion()
        assert champion is not None
        assert champion.version == "v"
        (model,) = [file for file in ledger.named_files() if file.what == "champion"]
        assert model.places == ()


def test_the_time_that_people_worked_finds_room(of_five: str, out_root: Path) -> None:
    work = JobWork("http://s", 7, "2026-01-01", 30.0, is_simulated=False, is_final=True, looked="2026-01-02")
    with Ledger.open(of_five, out_root) as ledger:
        ledger.record_work([work])
        assert ledger.work_on_jobs("http://s", [7]) == {7: work}
        assert ledger.finished_jobs() == []
        assert ledger.jobs_to_look_up("http://s") == []
    assert check_database(of_five, out_root) == []
