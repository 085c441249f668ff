"""Pages: escaped, self-contained, each chart with its table."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser

import numpy as np
from PIL import Image

from agir_cvtoolkit.reporting.page_colours import DARK, LIGHT, STAND_INS
from agir_cvtoolkit.reporting.page_html import page_html
from agir_cvtoolkit.reporting.page_parts import (
    BarChart,
    BarRow,
    Cell,
    Fact,
    Facts,
    Gallery,
    Line,
    LineChart,
    Page,
    Part,
    Picture,
    Section,
    Step,
    Table,
    Way,
    Ways,
    Words,
)
from agir_cvtoolkit.reporting.page_pictures import cut_to, difference, moved_points

HOSTILE = "</title></svg><script>alert(1)</script><img src=x onerror=alert(1)>\"' $a_b$ \\frac"
LINES = LineChart(
    HOSTILE,
    HOSTILE,
    HOSTILE,
    HOSTILE,
    (
        Line(HOSTILE, (0, 1), (0.5, math.nan), (0.4, math.nan), (0.6, math.nan), (HOSTILE, "")),
        Line("b", (0, 1), (0.2, 0.3), joined=False),
    ),
    (HOSTILE, "two"),
)
BARS = BarChart(
    HOSTILE, HOSTILE, ("kept", HOSTILE), (BarRow(HOSTILE, (3, 1), HOSTILE), BarRow("none", (0, 0)))
)


class _Seen(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def _page(*parts: Part) -> str:
    section = Section("one", HOSTILE, HOSTILE, HOSTILE, parts)
    return page_html(
        Page(HOSTILE, HOSTILE, (Words(HOSTILE, HOSTILE),), Facts((Fact(HOSTILE, "n"),)), (section,), HOSTILE)
    )


def test_hostile_names_stay_text_everywhere() -> None:
    html = _page(
        LINES,
        BARS,
        Table(HOSTILE, (HOSTILE,), ((Cell(HOSTILE, HOSTILE, is_text=True, warns=True),),)),
        Gallery(HOSTILE, (Picture("data:image/jpeg;base64,", HOSTILE, HOSTILE, HOSTILE),)),
        Ways((Way(HOSTILE, (Step(HOSTILE, "now"),), HOSTILE),)),
    )
    seen = _Seen(html)
    assert seen.of("script") == []
    assert [image["alt"] for image in seen.of("img")] == [HOSTILE]
    assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]


def test_nothing_is_loaded_from_elsewhere() -> None:
    html = _page(LINES, BARS)
    seen = _Seen(html)
    assert re.findall(r"https?://(?!www\.w3\.org/)", html) == []
    assert "default-src 'none'" in str(seen.of("meta"))
    assert all(link["href"] == "data:," for link in seen.of("link"))


def test_names_in_a_page_are_there_once_and_every_reference_leads_somewhere() -> None:
    seen = _Seen(_page(LINES, LINES, BARS))
    used = re.findall(r'(?:url\(#|href="#)([^)"]+)', _page(LINES, BARS))
    names = [str(attributes["id"]) for _, attributes in seen.tags if "id" in attributes]
    assert set(used) <= set(names)
    one = [str(a["id"]) for _, a in _Seen(_page(LINES, BARS)).tags if "id" in a]
    assert len(one) == len(set(one))


def test_each_chart_has_a_name_and_its_figures_as_a_table() -> None:
    seen = _Seen(_page(LINES, BARS))
    assert [div["aria-label"] for div in seen.of("div") if div.get("role") == "img"] == [HOSTILE, HOSTILE]
    assert len(seen.of("details")) == 2
    assert "0.4–0.6" in _page(LINES)


def test_drawings_take_the_colours_of_the_page() -> None:
    html = _page(LINES, BARS)
    assert not [stand_in for stand_in in STAND_INS.values() if stand_in in html]
    assert "var(--s1)" in html
    assert "prefers-color-scheme:dark" in html


def _contrast(a: str, b: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(a), light(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_texts_and_lines_stand_out_from_the_paper() -> None:
    for colours in (LIGHT, DARK):
        for name in ("ink", "faint", "good", "warn"):
            assert _contrast(colours[name], colours["paper"]) >= 4.5, name
        for name in ("s1", "s2", "s3", "s4", "s5"):
            assert _contrast(colours[name], colours["paper"]) >= 3.0, name


def test_overlays_differ_without_colour() -> None:
    rgb = np.full((60, 90, 3), 128, np.uint8)
    before, after = np.zeros((60, 90), bool), np.zeros((60, 90), bool)
    before[10:50, 5:50] = True
    after[10:50, 30:85] = True
    grey = np.asarray(Image.fromarray(difference(rgb, before, after)).convert("L")).astype(int)
    removed, added, soil = grey[15:45, 10:25], grey[15:45, 60:80], grey[:5]
    assert removed.std() > 40  # stripes
    assert added.std() < 1
    assert added.mean() < soil.mean() - 20
    rows, columns = cut_to(before | after)
    assert (rows, columns) == (slice(0, 60), slice(0, 90))
    small = np.zeros((100, 100), bool)
    small[40:50, 20:30] = True
    assert cut_to(small) == (slice(32, 58), slice(12, 38))


def test_moved_joints_show_where_from_and_where_to() -> None:
    rgb = np.full((100, 100, 3), 128, np.uint8)
    drawn = moved_points(rgb, [(20.0, 20.0), (50.0, 50.0), None], [(70.0, 20.0), (50.0, 50.0), None])
    assert tuple(drawn[20, 70]) == (0, 114, 178)
    assert tuple(drawn[50, 50]) == (255, 255, 255)
    assert drawn[20, 45].min() > 200
    assert np.array_equal(rgb, np.full((100, 100, 3), 128, np.uint8))
