"""Choosing a batch of a run whose pictures and scores are drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agir_cvtoolkit.errors import ConfigError, NoRunError, UsageError
from agir_cvtoolkit.pictures import png_bytes, sha256_of
from agir_cvtoolkit.records import ManifestEntry
from agir_cvtoolkit.runs import Run, start_run, write_bytes
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.select import SelectResult, select, select_explain

PLAIN = ("select.embeddings=layout", "select.strategy=uncertainty", "select.alike=null")
SPECIES = ("barley", "oats")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Eight pictures of noise; the last is a copy of the first, the one before it is nearly the second."""
    monkeypatch.chdir(tmp_path)
    made = start_run(Path("outputs/runs"), "r")
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(6)]
    nearly = pictures[1].copy()
    nearly[0, 0] ^= 1
    for number, picture in enumerate([*pictures, nearly, pictures[0]]):
        path = made.path("images", f"r{number}.png")
        write_bytes(path, png_bytes(picture))
        made.append_manifest(
            ManifestEntry(
                record_id=f"r{number}",
                common_name=SPECIES[number % 2],
                image_path=f"images/r{number}.png",
                mask_path=None,
                width=64,
                height=48,
                sha256=sha256_of(path),
                model="drawn",
                uncertainty=number / 10,
                edge_occupancy=0.0,
                inference_time_ms=1.0,
                scores={"entropy": 1 - number / 10},
                class_shares={"plant": 0.2},
                label_values={"state": "NC" if number < 4 else "MD"},
            )
        )
    return made


def choose(
    count: int | None = None, *overrides: str, dry_run: bool = False, **options: object
) -> SelectResult:
    call = Call(overrides=(*PLAIN, *overrides), dry_run=dry_run)
    return select(count, call=call, **options)  # type: ignore[arg-type]


def test_every_unit_has_its_rule_and_doubles_stand_back(run: Run) -> None:
    result = choose(8, "select.control=0", contact_sheet=True)
    assert [one.unit_id for one in result.choices] == ["r7", "r6", "r5", "r4", "r3", "r2"]
    assert result.exit_code == 1
    explained = select_explain("r0")
    assert explained.choices[0].rule == "copy of r7"
    assert select_explain("r1").choices[0].rule == "near-duplicate of r6"
    assert [one.rank for one in select_explain().choices] == [1, 2, 3, 4, 5, 6]
    assert run.path("select", "contact_sheet.jpg").stat().st_size > 1000
    content = json.loads(run.path("select", "selection.json").read_text())
    assert (content["embeddings"], content["models"], content["control_population"]) == (
        "layout@1",
        ["drawn"],
        6,
    )
    with pytest.raises(UsageError, match="no unit 'r9'"):
        select_explain("r9")


def test_a_dry_run_writes_nothing_and_says_the_same(run: Run) -> None:
    planned = choose(3, dry_run=True)
    assert not run.path("select").exists()
    with pytest.raises(NoRunError, match="nothing was chosen"):
        select_explain()
    assert choose(3).choices == planned.choices


def test_hours_are_reckoned_by_the_seconds_for_a_picture(run: Run) -> None:
    result = choose(None, "report.seconds_per_picture=600", hours=0.5)
    assert (result.wanted, result.seconds) == (3, 600)
    with pytest.raises(UsageError, match="exclude each other"):
        choose(3, hours=1.0)


def test_less_than_a_picture_takes_is_said(run: Run) -> None:
    found = choose(hours=0.001)
    assert found.chosen == 1
    assert found.notes == ("a picture takes 60 s, more than 0.001 hours: one was chosen all the same",)


def test_scores_are_those_that_are_named(run: Run) -> None:
    assert choose(1, "select.control=0", scores={"entropy": 1.0}).choices[0].unit_id == "r0"
    with pytest.raises(ConfigError, match="Did you mean 'entropy'"):
        choose(1, scores={"entropi": 1.0})
    empty = choose(2, dry_run=True, scores={"uncertainty": 1.0, "history": 1.0})
    assert any("nothing was corrected yet" in note for note in empty.notes)


def test_strata_have_quotas(run: Run) -> None:
    quotas = "select.quotas.strata={NC: {least: 3}, MD: {most: 1}}"
    result = choose(4, "select.control=0", "select.strata=state", quotas)
    # Of the four of NC two are doubles of pictures of MD, which are scored better.
    assert [one.unit_id for one in result.choices] == ["r3", "r2", "r7"]
    with pytest.raises(ConfigError, match="no record has a column 'stat'"):
        choose(4, "select.strata=stat")
    with pytest.raises(ConfigError, match="needs strata"):
        choose(4, quotas)


def test_a_quota_that_gets_nothing_is_told_of(run: Run) -> None:
    asked = [f"select.quotas.classes.{name}.least={least}" for name, least in (("weed", 1), ("plant", 9))]
    asked += ["select.strata=state", "select.quotas.strata.NC.least=1", "select.quotas.strata.ND.most=1"]
    assert choose(3, *asked, dry_run=True).notes == (
        "the quota of stratum 'ND' counts for nothing: the pictures have MD, NC.",
        "the quota of class 'weed' counts for nothing: the predictions have plant.",
        "of class 'plant' 3 could be chosen, at least 9 were asked for",
    )


def test_regions_need_maps_of_doubt(run: Run) -> None:
    with pytest.raises(UsageError, match="save_uncertainty=true"):
        choose(2, unit="region")


def test_pictures_of_known_runs_count_as_labelled(run: Run) -> None:
    start_run(Path("outputs/runs"), "test")
    test = Run("test", Path("outputs/runs/test"))
    test.append_manifest(run.read_manifest()[5])
    start_run(Path("outputs/runs"), "r")
    result = choose(8, "select.known_runs=[test]")
    assert "r5" not in {one.unit_id for one in result.choices}
    assert result.counts["labelled or in flight"] == 1
