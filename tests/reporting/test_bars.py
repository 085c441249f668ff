"""Stacked bars as SVG."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from agir_cvtoolkit.reporting.bars import Bar, write_bars

COLOURS = {"accepted": "#2b8a3e", "edited": "#1c6fb8", "added": "#d9822b"}


def test_a_bar_is_divided_by_its_counts(tmp_path: Path) -> None:
    path = write_bars(tmp_path / "plots" / "a.svg", "T", [Bar("all", {"accepted": 3, "edited": 1})], COLOURS)
    text = path.read_text(encoding="utf-8")
    widths = re.findall(r"width='([\d.]+)' height='22' fill='(#\w+)'", text)
    (first, green), (second, blue) = widths
    assert float(first) == pytest.approx(3 * float(second), abs=0.2)
    assert (green, blue) == (COLOURS["accepted"], COLOURS["edited"])
    assert ">accepted<" in text
    assert ">added<" not in text


def test_names_of_labels_cannot_break_the_picture(tmp_path: Path) -> None:
    bars = [Bar("<script>&\"'", {"accepted": 1}), Bar("n" * 80, {}, note="a < b")]
    root = ElementTree.parse(write_bars(tmp_path / "a.svg", "<T>", bars, COLOURS)).getroot()
    texts = [element.text or "" for element in root.iter() if element.tag.endswith("text")]
    assert "<script>&\"'" in texts
    assert "<T>" in texts
    assert max(len(text) for text in texts) <= 30
