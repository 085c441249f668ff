"""The page of quality: whole, escaped, nothing loaded from elsewhere, with everything that was found."""

from __future__ import annotations

import re

import pytest

from agir_cvtoolkit.quality.annotators import ALL, ScoreRow
from agir_cvtoolkit.quality.drift import Drift
from agir_cvtoolkit.quality.intervals import Measure
from agir_cvtoolkit.stages.quality import QualityResult
from agir_cvtoolkit.stages.quality_page import write_page

EVIL = '<script>alert(1)</script>"& $a_b$'
WEEKS = [f"2026-W{number:02d}" for number in range(1, 31)]


def _row(name: str, week: str, mean: float) -> ScoreRow:
    return ScoreRow(name, ALL, week, 6, Measure(mean, mean - 0.05, mean + 0.05, 6), None, None, 4, 1, 2, 5, 3)


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    names = [EVIL, "ann", "bob", "chen", "dora", "eve"]
    gold = [_row(name, ALL, 0.5) for name in names]
    gold += [_row(name, week, 0.4 + 0.01 * n) for n, name in enumerate(names) for week in WEEKS[n:]]
    result = QualityResult(
        server=f"http://{EVIL}",
        jobs=7,
        frames=70,
        gold_frames=42,
        gold=tuple(gold),
        changed=(),
        agreement=(_row("ann / bob", ALL, 0.9),),
        drifts=(Drift("bob", 20, 4, -0.02, -0.03, -0.01, "worse"),),
        alarms=(),
        within_s=2.0,
        timed=0,
        notes=(EVIL,),
    )
    path = write_page(result, tmp_path_factory.mktemp("page") / "page.html")
    return path.read_text(encoding="utf-8")


def test_names_are_escaped_and_nothing_is_loaded(html: str) -> None:
    assert "<script" not in html
    assert "default-src &#39;none&#39;" in html
    assert re.findall(r"https?://(?!www\.w3\.org/|&lt;)", html) == []
    assert "prefers-color-scheme:dark" in html


def test_everything_that_was_found_is_there(html: str) -> None:
    for said in ("ann / bob", "0.500", "0.450–0.550", "-0.0200", '<span class="warn">worse</span>', "3 of 5"):
        assert said in html
    assert "Proposals accepted within seconds: nothing." in html
    assert html.count("<details>") == 3, "the table of weeks, and the figures of two charts"
    weeks = html[html.index('<section id="weeks"') :]
    assert all(week in weeks for week in WEEKS)


def test_six_people_are_drawn_in_two_charts_whose_weeks_can_be_read(html: str) -> None:
    charts = re.findall(r'<figure class="chart">.*?</figure>', html, re.S)
    assert len(charts) == 2
    assert all(any(f">{name}</text>" in chart for chart in charts) for name in ("ann", "bob", "chen", "eve"))
    drawn = [week for week in WEEKS if f">{week}</text>" in charts[0]]
    assert 5 <= len(drawn) <= 8
