"""Stacked bars as SVG: how a whole divides, for a few groups below each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from agir_cvtoolkit.runs import write_text

_LEFT, _WIDTH, _RIGHT = 220, 520, 280
_BAR, _STEP, _HEAD = 22, 34, 74
_FONT = "font-family='system-ui, sans-serif'"
_MAX_NAME = 30


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        name: at its left.
        counts: by part.
        note: at its right.
    """

    name: str
    counts: Mapping[str, int]
    note: str = ""


def write_bars(path: Path, title: str, bars: Sequence[Bar], colours: Mapping[str, str]) -> Path:
    """Write bars of equal length below each other, each divided by its counts, with a legend.

    Args:
        path: of the SVG file.
        title: above the bars.
        bars: from top to bottom; a bar without counts stays empty.
        colours: of each part, in the order in which the parts are drawn.
    """
    height = _HEAD + _STEP * len(bars) + 12
    width = _LEFT + _WIDTH + _RIGHT
    lines = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}'"
        f" viewBox='0 0 {width} {height}'>",
        f"<rect width='{width}' height='{height}' fill='#faf9f6'/>",
        _text(16, 26, title, size=17, weight="600"),
        *_legend(bars, colours),
    ]
    for number, bar in enumerate(bars):
        lines += _bar(bar, _HEAD + number * _STEP, colours)
    write_text(path, "\n".join([*lines, "</svg>"]) + "\n")
    return path


def _legend(bars: Sequence[Bar], colours: Mapping[str, str]) -> list[str]:
    lines, x = [], 16
    for part, colour in colours.items():
        if any(bar.counts.get(part) for bar in bars):
            lines.append(f"<rect x='{x}' y='42' width='12' height='12' fill='{colour}'/>")
            lines.append(_text(x + 17, 53, part))
            x += 36 + 7 * len(part)
    return lines


def _bar(bar: Bar, top: int, colours: Mapping[str, str]) -> list[str]:
    name = bar.name if len(bar.name) <= _MAX_NAME else f"{bar.name[: _MAX_NAME - 1]}…"
    middle = top + _BAR // 2 + 5
    lines = [_text(_LEFT - 10, middle, name, anchor="end")]
    total = sum(bar.counts.get(part, 0) for part in colours)
    x = float(_LEFT)
    for part, colour in colours.items():
        count = bar.counts.get(part, 0)
        if not count:
            continue
        wide = _WIDTH * count / total
        lines.append(
            f"<rect x='{x:.1f}' y='{top}' width='{wide:.1f}' height='{_BAR}' fill='{colour}'>"
            f"<title>{escape(part)}: {count}</title></rect>"
        )
        if wide > 10 + 8 * len(str(count)):
            lines.append(_text(x + wide / 2, middle, str(count), anchor="middle", colour="#ffffff"))
        x += wide
    lines.append(_text(_LEFT + _WIDTH + 10, middle, bar.note, colour="#5c636a"))
    return lines


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 13,
    weight: str = "400",
    anchor: str = "start",
    colour: str = "#212529",
) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' font-weight='{weight}' text-anchor='{anchor}'"
        f" fill='{colour}' {_FONT}>{escape(text)}</text>"
    )
