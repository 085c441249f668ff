"""Report and dashboard of a made-up workspace after several rounds."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks._finished_workspace import HOSTILE, make_workspace
from starlette.testclient import TestClient

from agir_cvtoolkit.errors import NoRunError, UsageError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.reporting.page_parts import Words
from agir_cvtoolkit.runs import start_run, write_json, write_text
from agir_cvtoolkit.serving.dashboard import dashboard_app
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages._picture_list import PER_PAGE, picture_list
from agir_cvtoolkit.stages._report_benefit import benefit_section
from agir_cvtoolkit.stages._report_data import ReportData, Scope, gather
from agir_cvtoolkit.stages._report_plan import plan_section
from agir_cvtoolkit.stages._report_state import summary_of
from agir_cvtoolkit.stages._strata import with_strata
from agir_cvtoolkit.stages._thumbnails import Thumbnails
from agir_cvtoolkit.stages.dashboard import Dashboard, open_dashboard
from agir_cvtoolkit.stages.plan import plan, planned
from agir_cvtoolkit.stages.report import report

ROUNDS, RECORDS = 4, 160


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    make_workspace(folder, RECORDS, ROUNDS)
    return folder


def _call(workspace: Path, *overrides: str, run: str | None = None, dry_run: bool = False) -> Call:
    return Call(overrides=overrides, config=str(workspace / "conf"), run=run, dry_run=dry_run)


@pytest.fixture(scope="module")
def data(workspace: Path) -> ReportData:
    return gather(_call(workspace).settings(), Scope())


@pytest.fixture(scope="module")
def html(workspace: Path) -> str:
    result = report(workspace / "report.html", call=_call(workspace, "report.pictures=3"))
    assert result.records == RECORDS
    content = (workspace / "report.html").read_text(encoding="utf-8")
    assert result.size == len(content.encode())
    return content


def _section(html: str, anchor: str) -> str:
    return re.search(rf'<section id="{anchor}".*?</section>', html, re.S).group(0)  # type: ignore[union-attr]


def test_every_section_says_what_it_shows_and_what_to_do(html: str) -> None:
    sections = re.findall(r"<section id=.*?</section>", html, re.S)
    assert len(sections) >= 10
    for section in sections:
        assert re.search(r'<p class="shows">\S', section)
        assert re.search(r"<b>What to do:</b> \S", section)


def test_figures_are_those_of_the_ledger(data: ReportData, html: str) -> None:
    back = [row for row in data.rows if row.agreement is not None]
    assert len(back) == RECORDS * (ROUNDS - 1) // ROUNDS == data.labelled
    with Ledger.open_to_read(None, data.out_root) as ledger:
        by_hand = sum(one.shapes for one in ledger.record_outcomes() if one.outcome == "added")
    assert by_hand == sum(row.counts[4] for row in back)
    assert f"<dd>{data.labelled}</dd>" in html
    assert "waits for people to finish" in html


def test_the_head_speaks_of_one_run_and_of_work_that_nobody_did(data: ReportData) -> None:
    one = replace(
        data, rounds=data.rounds[:1], rows=data.rows[:0], effort=replace(data.effort, hours_by_run={})
    )
    back = next(row for row in data.rows if row.agreement is not None)
    words = [part.text for part in summary_of(replace(one, rows=(back,)))]
    assert "of 1 run" not in " ".join(words)
    assert "1 picture came back, and none of it has cost a person's time." in words


def test_the_control_slice_is_estimated_from_its_pictures_alone(data: ReportData, html: str) -> None:
    control = [r.agreement for r in data.rows if r.agreement is not None and r.chosen and r.chosen.control]
    assert len(control) == 12
    assert f"{sum(control) / len(control):.2f}" in _section(html, "control")


def test_benefit_is_not_claimed_where_it_was_not_measured(html: str) -> None:
    assert "It was not measured here yet." in _section(html, "benefit")


def test_no_gain_so_far_is_said(workspace: Path, html: str) -> None:
    assert html  # made before there was a simulation
    estimate = {"mean": 0.7, "low": 0.6, "high": 0.8, "count": 5}
    points = [{"labels": n, "score": estimate, "difference": None} for n in (8, 16)]
    curves = [
        {"strategy": name, "points": points, "verdict": "no different"} for name in ("random", "entropy")
    ]
    folder = workspace / "outputs" / "simulations" / "one"
    write_json(folder / "simulation.json", {"metric": "IoU", "curves": curves, "words": ["told"]})
    report(workspace / "again.html", call=_call(workspace, "report.pictures=0"))
    section = _section((workspace / "again.html").read_text(encoding="utf-8"), "benefit")
    assert "no gain so far" in section
    assert "entropy" in section
    (folder / "simulation.json").unlink()


def test_what_a_round_has_measured_is_shown(data: ReportData) -> None:
    def estimate(mean: float) -> dict[str, object]:
        return {"mean": mean, "low": mean - 0.01, "high": mean + 0.01, "count": 5}

    def curve(name: str, verdict: str, scores: tuple[float, ...]) -> dict[str, object]:
        points = [{"labels": 8 * (n + 1), "score": estimate(score)} for n, score in enumerate(scores)]
        return {"strategy": name, "points": points, "verdict": verdict}

    def section(benefit: dict[str, object]) -> list[str]:
        last = replace(data.rounds[-1], figures={"benefit": benefit})
        found = benefit_section(replace(data, rounds=(*data.rounds[:-1], last)))
        return [f"{part.lead} {part.text}" for part in found.parts if isinstance(part, Words)]

    curves = [curve("random", "no different", (0.5, 0.6)), curve("chosen", "better", (0.6, 0.7))]
    assert "a gain" in section({"metric": "IoU", "curves": curves, "words": ()})[0]
    few = section({"metric": "IoU", "curves": (), "words": ("3 labels are too few.",)})
    assert few == ["Too few labels to tell: no gain so far. 3 labels are too few."]


def test_hostile_names_do_nothing(html: str) -> None:
    assert "<script" not in html
    assert "onerror=alert(1)>" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_a_run_alone_and_a_dry_run(workspace: Path) -> None:
    result = report(
        workspace / "one.html", call=_call(workspace, "report.pictures=0", run="field/002", dry_run=True)
    )
    assert (result.records, result.scope, result.size) == (RECORDS // ROUNDS, "run field/002", 0)
    assert not (workspace / "one.html").exists()


def test_what_is_not_there_is_told(workspace: Path) -> None:
    with pytest.raises(UsageError, match="no loop 'maize'"):
        report(loop="maize", call=_call(workspace))
    with pytest.raises(NoRunError):
        report(call=_call(workspace, run="nothing"))
    with pytest.raises(UsageError, match="exclude"):
        report(loop="maize", call=_call(workspace, run="field/001"))
    with pytest.raises(UsageError, match="is a folder"):
        report(workspace, call=_call(workspace))


def test_an_empty_workspace_has_a_report(tmp_path: Path) -> None:
    result = report(tmp_path / "r.html", call=Call(overrides=(f"io.out_root={tmp_path}/outputs/runs",)))
    assert result.records == 0
    assert "Nothing was sent to people yet." in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_plan_follows_the_measured_pace(workspace: Path, data: ReportData) -> None:
    found = plan(6, 0.99, call=_call(workspace))
    assert found.pictures == int(6 * 3600 / data.effort.pace.seconds)
    assert found.pictures_low is not None
    assert found.pictures_high is not None
    assert found.pictures_low < found.pictures < found.pictures_high
    assert found.forecast is not None
    assert found.forecast.labels == found.labels + found.pictures
    assert "never reaches" in found.verdict or "at" in found.verdict
    few = plan(6, call=_call(workspace, run="field/001"))
    assert few.forecast is None
    assert few.verdict.startswith("Too few points to tell")
    with pytest.raises(UsageError, match="nothing to plan with"):
        plan(0, call=_call(workspace))


def test_a_plan_says_what_the_pool_has_left_and_how_few_jobs_it_goes_by(data: ReportData) -> None:
    pace = replace(data.effort.pace, jobs=1, seconds=60.0, low=None, high=None)
    few = replace(data, effort=replace(data.effort, pace=pace))
    all_sent = planned(few, 1)
    assert (all_sent.left, all_sent.batch) == (0, 60)
    assert len(all_sent.cautions) == 2
    assert "those of 1 job," in all_sent.cautions[0]
    assert "No predicted picture is left" in all_sent.cautions[1]

    sent = next(row for row in data.rows if row.state == "sent")
    region = replace(sent, record_id="cut@0,0,8x8")
    new = [replace(sent, record_id=name, state="predicted") for name in ("one", "two", "cut")]
    some = replace(few, rows=(*data.rows, region, *new, replace(new[0], run_id="field/002")))
    found = planned(some, 1)
    assert (found.pictures, found.left, found.batch) == (60, 2, 2)
    assert found.cautions[1].startswith("The pool has 2 pictures left")
    assert found.forecast is not None
    assert found.forecast.labels == found.labels + 2
    assert "all that are left" in str(plan_section(some))
    assert planned(some, 2 / 60).cautions == found.cautions[:1]


@pytest.fixture(scope="module")
def dashboard(workspace: Path) -> Dashboard:
    return open_dashboard(call=_call(workspace, "report.pictures=2", "report.thumbnail=64"))


@pytest.fixture
def client(dashboard: Dashboard) -> Iterator[TestClient]:
    with TestClient(dashboard_app(dashboard), base_url="http://127.0.0.1") as found:
        yield found


def test_pictures_are_listed_page_by_page(client: TestClient) -> None:
    seen: list[str] = []
    for page in range(1, 8):
        found = re.findall(
            r'<p class="title">([^<]*)</p>', client.get(f"/pictures?order=name&page={page}").text
        )
        assert len(found) <= PER_PAGE
        seen += found
    assert len(set(seen)) == RECORDS
    last = client.get("/pictures?page=999999").text
    assert "page 7 of 7" in last


@pytest.mark.parametrize(
    ("query", "test"),
    [
        ("run=field/002", lambda row: row.run_id == "field/002"),
        ("outcome=sent", lambda row: row.state == "sent"),
        ("outcome=deleted", lambda row: row.counts[3] > 0),
        ("annotator=chen", lambda row: "chen" in row.annotators),
        ("label=barley", lambda row: "barley" in row.labels),
        ("slice=control", lambda row: row.chosen.control),
        ("search=r3_", lambda row: row.record_id.startswith("R3_")),
        (
            "species=barley&run=field/001",
            lambda row: re.fullmatch(r"R1_0*\d*[02468]", row.record_id) and int(row.record_id[3:]) % 4 == 2,
        ),
        ("run=nothing", lambda row: False),
    ],
)
def test_filters_keep_what_they_say(client: TestClient, data: ReportData, query: str, test: object) -> None:
    assert callable(test)
    total = re.search(r"<span>([\d,]+) picture", client.get(f"/pictures?{query}").text)
    assert total is not None
    assert int(total.group(1)) == sum(bool(test(row)) for row in data.rows)


def test_any_column_with_a_few_values_is_a_stratum(data: ReportData, tmp_path: Path) -> None:
    run, row = start_run(tmp_path, "r"), data.rows[0]
    lines = ['{"no": "record"}', "[1]", '{"record_id": "b", "label_values": 7}', "nonsense"]
    for number in range(40):
        values = {"state": "NC" if number % 2 else "MD", "note": f"n{number}", "always": 1, "season": None}
        named = {"record_id": f"a{number}", "common_name": "oats", "label_values": values}
        lines.insert(number, json.dumps(named))
    write_text(run.manifest_path, "\n".join(lines))
    names = ("a0", "a1", "a1@0,0,8x8", "b", "elsewhere")
    rows = with_strata([replace(row, run_id="r", record_id=name) for name in names], {"r": run})
    assert [one.strata for one in rows] == [("state=MD",), ("state=NC",), ("state=NC",), (), ()]
    assert [one.species for one in rows] == ["oats", "oats", "oats", "", ""]
    shown = replace(data, rows=tuple(rows))
    assert shown.strata == ("state=MD", "state=NC")
    found = picture_list(shown, {"stratum": "state=NC"}, 1)
    assert found.total == 2
    (choice,) = (one for one in found.choices if one.name == "stratum")
    assert choice.options == (("", "all"), ("state=MD", "state: MD"), ("state=NC", "state: NC"))
    assert all(one.name != "stratum" for one in picture_list(data, {}, 1).choices)


def test_a_picture_has_its_life_and_its_overlay(client: TestClient, data: ReportData) -> None:
    row = next(row for row in data.rows if row.state == "changed")
    query = urllib.parse.urlencode({"run": row.run_id, "record": row.record_id})
    life = client.get(f"/picture?{query}").text
    for kind in ("predicted", "selected", "pushed", "corrected", "pulled"):
        assert f">{kind}</td>" in life
    overlay = client.get(f"/thumb?{query}&of=overlay")
    assert overlay.headers["content-type"] == "image/jpeg"
    assert overlay.content[:3] == b"\xff\xd8\xff"
    assert client.get(f"/thumb?{query}&of=plain").content != overlay.content
    hostile = urllib.parse.urlencode({"run": "field/001", "record": f"R1_{HOSTILE}"})
    assert "onerror=alert(1)>" not in client.get(f"/picture?{hostile}").text


@pytest.mark.parametrize("record", ["../../../conf/io/default.yaml", "/etc/passwd", "", "R1_000001\x00"])
def test_nothing_but_known_records_is_read(client: TestClient, record: str) -> None:
    for run in ("field/001", "../..", "field/../../.."):
        query = urllib.parse.urlencode({"run": run, "record": record})
        assert client.get(f"/thumb?{query}").status_code == 404
        assert client.get(f"/picture?{query}").status_code == 404


def test_a_change_is_seen_without_a_restart(workspace: Path, dashboard: Dashboard) -> None:
    before = dashboard.state()
    with Ledger.open(None, workspace / "outputs" / "runs") as ledger:
        ledger.record_model("ffff00001111", "nowhere", "unet-new", "field/003", {"kind": "segmentation"})
    for _ in range(600):
        if dashboard.state() != before:
            break
        import time

        time.sleep(0.1)
    assert dashboard.state() != before
    assert "unet-new" in dashboard.overview()


def test_thumbnails_are_kept_within_their_room(tmp_path: Path) -> None:
    cache = Thumbnails(tmp_path, 10_000)
    made = []

    def make(number: int) -> bytes:
        made.append(number)
        return bytes(1000)

    for number in range(150):
        cache.get(f"{number:064x}", lambda number=number: make(number))  # type: ignore[misc]
    kept = list(tmp_path.glob("*/*.jpg"))
    assert len(kept) < 100
    assert cache.get(f"{149:064x}", lambda: b"another") == bytes(1000)
    assert cache.get("ab" * 32, lambda: None) is None


def test_the_result_can_be_printed_as_json(workspace: Path) -> None:
    from agir_cvtoolkit.cli._shell import plain

    assert json.dumps(plain(plan(3, call=_call(workspace))))
