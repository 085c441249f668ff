"""The page of quality: whole, escaped, nothing loaded from elsewhere."""

from __future__ import annotations

import math
from html.parser import HTMLParser
from pathlib import Path

from agir_cvtoolkit.reporting.quality_page import Cell, PageTable, PageTrend, quality_page


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in {"src", "href"}]


def test_names_are_escaped_and_nothing_is_loaded(tmp_path: Path) -> None:
    evil = '<script>alert(1)</script>"&'
    parts: list[PageTable | PageTrend] = [
        PageTable(evil, evil, (evil, "n"), ((Cell(evil, evil, is_text=True, warns=True), Cell("1")),)),
        PageTable("folded", "", ("n",), ((Cell("1"),),), folded=True),
        PageTrend(evil, evil, ("2026-W31", "2026-W32", "2026-W33"), {evil: (0.5, math.nan, 0.7)}),
        PageTrend("none", "", (), {}),
    ]
    path = quality_page(tmp_path / "page.html", evil, [(evil, evil)], parts)
    text = path.read_text(encoding="utf-8")
    found = _Tags()
    found.feed(text)
    assert "script" not in found.tags
    assert found.addresses == []
    assert "http" not in text
    assert {"table", "svg", "details"} <= set(found.tags)
    assert text.count("<circle") == 3, "a mark for each value, and one in the legend"


def test_lines_differ_without_colour(tmp_path: Path) -> None:
    trend = PageTrend("t", "", ("a", "b"), dict.fromkeys("xyz", (0.1, 0.9)))
    text = quality_page(tmp_path / "page.html", "t", [], [trend]).read_text(encoding="utf-8")
    assert text.count("stroke-dasharray") == 4, "of two lines and their legends"
    assert all(mark in text for mark in ("<circle", "<rect", "<polygon"))
