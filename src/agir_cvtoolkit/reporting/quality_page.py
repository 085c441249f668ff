"""One HTML page of tables and trends, with nothing loaded from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from agir_cvtoolkit.runs import write_text

_STROKES = ("", "7 4", "2 3", "10 3 2 3", "1 5")
_SHAPES = ("circle", "square", "triangle", "diamond")
_STYLE = """
:root{color-scheme:light dark;--paper:#faf9f6;--ink:#212529;--faint:#666b70;--grid:#d9d6cd;--card:#fff;
--a:#0b5a8c;--b:#a84b00;--c:#1c6b3a;--d:#6d2e91;--warn:#8a1c1c}
@media(prefers-color-scheme:dark){:root{--paper:#16181b;--ink:#e9e7e1;--faint:#a3a7ab;--grid:#3a3e43;--card:#1f2226;
--a:#7cc0ee;--b:#f2a65e;--c:#86cf9f;--d:#cfa3ec;--warn:#ff9d9d}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1080px;margin:0 auto;padding:24px 20px 60px}h1{font-size:1.6rem;margin:.2em 0}
h2{font-size:1.15rem;margin:0 0 .2em}p{margin:.2em 0 .8em;color:var(--faint);max-width:75ch}
section{background:var(--card);border:1px solid var(--grid);border-radius:10px;padding:16px 18px;margin:18px 0}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:5px 10px;text-align:right;border-bottom:1px solid var(--grid);white-space:nowrap}
th{font-weight:600;color:var(--faint)}th.t,td.t{text-align:left;white-space:normal}
td small{color:var(--faint)}.warn{color:var(--warn);font-weight:600}
summary h2{display:inline}summary{cursor:pointer}
.facts{display:flex;flex-wrap:wrap;gap:12px;padding:0;margin:16px 0;list-style:none}
.facts li{background:var(--card);border:1px solid var(--grid);border-radius:10px;padding:8px 14px}
.facts b{display:block;font-size:1.35rem}svg{width:100%;height:auto;max-width:760px}
svg text{fill:var(--faint);font-size:12px}svg .g{stroke:var(--grid)}
"""


@dataclass(frozen=True)
class Cell:
    """What stands in a table.

    Attributes:
        text: shown.
        small: behind it, less loud: an interval.
        is_text: set to the left.
        warns: to be noticed; a mark stands before it, so that it does not depend on colour.
    """

    text: str
    small: str = ""
    is_text: bool = False
    warns: bool = False


@dataclass(frozen=True)
class PageTable:
    """A table with a title and a sentence below it.

    Attributes:
        folded: shown only when its title is clicked.
    """

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    folded: bool = False


@dataclass(frozen=True)
class PageTrend:
    """Lines over weeks.

    Attributes:
        weeks: names, in order.
        lines: by name, a value between 0 and 1 for each week; NaN leaves a gap.
    """

    title: str
    note: str
    weeks: tuple[str, ...]
    lines: Mapping[str, tuple[float, ...]]


def quality_page(
    path: Path, title: str, facts: Sequence[tuple[str, str]], parts: Sequence[PageTable | PageTrend]
) -> Path:
    """Write the page; names are escaped, lines differ by stroke and mark as well as by colour.

    Args:
        path: where to.
        title: first line.
        facts: figures with what they count.
        parts: below each other.

    Returns:
        `path`.
    """
    shown = "".join(f"<li><b>{escape(value)}</b>{escape(name)}</li>" for name, value in facts)
    body = "".join(_table(part) if isinstance(part, PageTable) else _trend(part) for part in parts)
    html = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f'<body><main><h1>{escape(title)}</h1><ul class="facts">{shown}</ul>{body}</main></body></html>\n'
    )
    write_text(path, html)
    return path


def _table(part: PageTable) -> str:
    left = [all(row[i].is_text for row in part.rows) for i in range(len(part.columns))]
    heads = "".join(
        f'<th scope="col"{_left(left[i])}>{escape(name)}</th>' for i, name in enumerate(part.columns)
    )
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in part.rows)
    inner = f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    if part.folded:
        head = f"<summary><h2>{escape(part.title)}</h2></summary>"
        return f"<section><details>{head}<p>{escape(part.note)}</p>{inner}</details></section>"
    return _section(part.title, part.note, inner if part.rows else "<p>Nothing.</p>")


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.warns:
        text = f'<span class="warn">&#9888; {text}</span>'
    small = f" <small>{escape(cell.small)}</small>" if cell.small else ""
    return f"<td{_left(cell.is_text)}>{text}{small}</td>"


def _left(is_text: bool) -> str:
    return ' class="t"' if is_text else ""


def _section(title: str, note: str, inner: str) -> str:
    return f"<section><h2>{escape(title)}</h2><p>{escape(note)}</p>{inner}</section>"


def _trend(part: PageTrend) -> str:
    known = [v for values in part.lines.values() for v in values if math.isfinite(v)]
    if not known:
        return _section(part.title, part.note, "<p>Nothing.</p>")
    low = max(0.0, math.floor(min(known) * 10) / 10)
    high = min(1.0, math.ceil(max(known) * 10) / 10)
    if high <= low:
        low, high = max(0.0, low - 0.1), min(1.0, high + 0.1)
    height = 270 + 20 * len(part.lines)

    def at(number: int, value: float) -> tuple[float, float]:
        across = number / (len(part.weeks) - 1) if len(part.weeks) > 1 else 0.5
        return 60 + 640 * across, 230 - 200 * (value - low) / (high - low)

    drawn = []
    for step in range(5):
        value = low + (high - low) * step / 4
        y = at(0, value)[1]
        drawn.append(f'<line class="g" x1="48" x2="712" y1="{y:.1f}" y2="{y:.1f}"/>')
        drawn.append(f'<text x="42" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>')
    every = -(-len(part.weeks) // 8)
    for number, week in enumerate(part.weeks):
        if number % every == 0:
            drawn.append(
                f'<text x="{at(number, low)[0]:.1f}" y="250" text-anchor="middle">{escape(week)}</text>'
            )
    for number, (name, values) in enumerate(part.lines.items()):
        drawn.append(_line(number, name, [(at(i, v)) for i, v in enumerate(values) if math.isfinite(v)]))
    names = ", ".join(part.lines)
    svg = (
        f'<svg viewBox="0 0 760 {height}" role="img" aria-label="{escape(part.title)}: {escape(names)}">'
        f"{''.join(drawn)}</svg>"
    )
    return _section(part.title, part.note, svg)


def _line(number: int, name: str, places: Sequence[tuple[float, float]]) -> str:
    colour = f"var(--{'abcd'[number % 4]})"
    dashes = f' stroke-dasharray="{_STROKES[number % 5]}"' if _STROKES[number % 5] else ""
    stroke = f'fill="none" stroke="{colour}" stroke-width="2.2"{dashes}'
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    y = 276 + 20 * number
    marks = "".join(_mark(number, x, up, colour) for x, up in places)
    return (
        f'<polyline points="{path}" {stroke}/>{marks}'
        f'<line x1="60" x2="100" y1="{y - 4}" y2="{y - 4}" {stroke}/>{_mark(number, 80, y - 4, colour)}'
        f'<text x="110" y="{y}">{escape(name)}</text>'
    )


def _mark(number: int, x: float, y: float, colour: str) -> str:
    kind = _SHAPES[number % 4]
    if kind == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
    if kind == "square":
        return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{colour}"/>'
    corners = [(0, -5), (5, 4), (-5, 4)] if kind == "triangle" else [(0, -5), (5, 0), (0, 5), (-5, 0)]
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{points}" fill="{colour}"/>'
