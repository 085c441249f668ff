"""Charts as SVG, drawn by Matplotlib: no script, sharp on paper, in the page's own colours by day and by night."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .page_colours import STAND_INS as C
from .page_colours import with_variables
from .page_parts import BarChart, BarRow, Cell, Line, LineChart, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SERIES = ("s1", "s2", "s3", "s4", "s5")
_MARKS = ("o", "s", "^", "D", "v")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (3, 4)))
_PARTS = ("b1", "b2", "b3", "b4", "b5", "b6")
_HATCHES = ("", "", "\\\\\\\\", "////", "", "xx")
_MOST_LINES = len(_SERIES)
_MOST_NAMES = 8
"""Below an axis: more would lie on each other."""
_WIDE = 7.6
"""Width of all charts, in inches of 100 pixels of the drawing; the page scales them."""


def line_chart_svg(chart: LineChart) -> str:
    """Return lines with their intervals as bands, each line named at its end."""
    with _style():
        figure, axes = _sheet(3.5)
        numbers = [x for line in chart.lines for x in line.x]
        wide = (max(numbers) - min(numbers)) if numbers else 1.0
        for number, line in enumerate(chart.lines[:_MOST_LINES]):
            _draw_line(axes, line, number, offset=_apart(number, len(chart.lines), wide, chart))
        if chart.diagonal:
            axes.plot((0, 1), (0, 1), color=C["faint"], linewidth=1, linestyle=(0, (2, 3)))
        if chart.y_range is not None:
            axes.set_ylim(*chart.y_range)
        if chart.x_names:
            every = -(-len(chart.x_names) // _MOST_NAMES)
            places = range(0, len(chart.x_names), every)
            axes.set_xticks(places, [_short(chart.x_names[place], 14) for place in places])
            axes.set_xlim(-0.4, len(chart.x_names) - 0.6)
        elif not chart.diagonal and all(float(x).is_integer() for x in numbers):
            axes.locator_params(axis="x", integer=True, min_n_ticks=1)  # there is no quarter of a picture
        axes.set_xlabel(chart.x_title)
        axes.set_ylabel(chart.y_title)
        axes.grid(axis="y")
        _names_at_ends(axes, chart.lines[:_MOST_LINES])
        return _svg(figure)


def bar_chart_svg(chart: BarChart) -> str:
    """Return bars that differ by brightness and hatching as well as by colour, with the counts in them."""
    rows = list(reversed(chart.rows))
    with _style():
        figure, axes = _sheet(0.9 + 0.36 * max(1, len(rows)))
        lefts = [0.0] * len(rows)
        longest = max((sum(row.counts) for row in rows), default=1) or 1
        for part, name in enumerate(chart.parts):
            widths = [_length(row, part, longest, chart) for row in rows]
            axes.barh(
                range(len(rows)),
                widths,
                left=lefts,
                height=0.68,
                color=C[_PARTS[part % len(_PARTS)]],
                edgecolor=C["ink"],
                linewidth=0.6,
                hatch=_HATCHES[part % len(_HATCHES)],
                label=name,
            )
            for at, row in enumerate(rows):
                if widths[at] > 0.05 and len(chart.parts) > 1:
                    box = {"facecolor": C["paper"], "edgecolor": "none", "pad": 1.2, "alpha": 0.86}
                    middle = lefts[at] + widths[at] / 2
                    axes.text(
                        middle, at, f"{row.counts[part]:,}", ha="center", va="center", fontsize=9, bbox=box
                    )
            lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
        for at, row in enumerate(rows):
            if row.note:
                axes.text(lefts[at] + 0.012, at, row.note, va="center", fontsize=9.5, color=C["faint"])
        axes.set_yticks(
            range(len(rows)), [_short(row.name, 26 if len(chart.parts) > 1 else 40) for row in rows]
        )
        axes.set_xlim(0, 1.0 if not any(row.note for row in rows) else 1.28)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        if len(chart.parts) > 1:
            columns = len(chart.parts)
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.2)
        return _svg(figure)


def table_of(chart: LineChart | BarChart) -> Table:
    """Return what a chart shows as a table, for whoever reads figures rather than drawings."""
    if isinstance(chart, BarChart):
        columns = ("", *chart.parts, "all")
        bars = tuple(
            (
                Cell(row.name, is_text=True),
                *(Cell(f"{count:,}") for count in row.counts),
                Cell(f"{sum(row.counts):,}"),
            )
            for row in chart.rows
        )
        return Table("The figures of this chart", columns, bars, folded=True)
    rows = []
    has_notes = any(line.notes for line in chart.lines)
    for line in chart.lines:
        for at, (x, y) in enumerate(zip(line.x, line.y, strict=True)):
            if not math.isfinite(y):
                continue
            where = chart.x_names[round(x)] if chart.x_names else f"{x:g}"
            note = (Cell(line.notes[at] if line.notes else "", is_text=True),) if has_notes else ()
            cells = (Cell(line.name, is_text=True), Cell(where, is_text=bool(chart.x_names)))
            rows.append((*cells, Cell(f"{y:.3g}", _interval(line, at)), *note))
    columns = ("line", chart.x_title or "at", chart.y_title, *(("note",) if has_notes else ()))
    return Table("The figures of this chart", columns, tuple(rows), folded=True)


def _draw_line(axes: Axes, line: Line, number: int, offset: float) -> None:
    colour = C[_SERIES[number]]
    xs = [x + offset for x in line.x]
    if line.low and line.joined and len(xs) > 1:
        axes.fill_between(xs, line.low, line.high, color=colour, alpha=0.14, linewidth=0)
    if line.low and line.has_marks:
        below = [max(0.0, y - low) for y, low in zip(line.y, line.low, strict=True)]
        above = [max(0.0, high - y) for y, high in zip(line.y, line.high, strict=True)]
        axes.errorbar(
            xs, line.y, (below, above), fmt="none", ecolor=colour, elinewidth=1.2, capsize=3.5, capthick=1.2
        )
    axes.plot(
        xs,
        line.y,
        color=colour,
        linestyle=_DASHES[number] if line.joined else "none",
        marker=_MARKS[number] if line.has_marks else None,
        markersize=6.5,
        markerfacecolor=C["paper"] if number % 2 else colour,
        markeredgecolor=colour,
        markeredgewidth=1.5,
        linewidth=2,
    )


def _apart(number: int, count: int, wide: float, chart: LineChart) -> float:
    """Return how far a line is set aside, so that intervals at the same place are both seen."""
    if count < 2 or not any(line.low for line in chart.lines):
        return 0.0
    step = 0.06 if chart.x_names else 0.008 * wide
    return step * (number - (count - 1) / 2)


def _names_at_ends(axes: Axes, lines: Sequence[Line]) -> None:
    """Write each line's name right of its last point; names that would touch are moved apart."""
    ends = []
    for number, line in enumerate(lines):
        known = [y for y in line.y if math.isfinite(y)]
        if known:
            ends.append((known[-1], number, line.name, line.has_marks))
    low, high = axes.get_ylim()
    gap = (high - low) * 0.085
    at = -math.inf
    places = []
    for y, number, name, has_marks in sorted(ends):
        at = max(y, at + gap)
        places.append((at, number, name, has_marks))
    over = max(0.0, (places[-1][0] - high) if places else 0.0)
    left, right = axes.get_xlim()
    for y, number, name, has_marks in places:
        wide = 0 if has_marks else 0.012
        axes.plot(
            [right + (right - left) * (0.028 + step) for step in (-wide, wide)],
            [y - over] * 2,
            marker=_MARKS[number] if has_marks else None,
            linewidth=2,
            markersize=6.5,
            clip_on=False,
            color=C[_SERIES[number]],
            markerfacecolor=C["paper"] if number % 2 else C[_SERIES[number]],
            markeredgewidth=1.5,
        )
        axes.text(right + (right - left) * 0.05, y - over, _short(name, 22), va="center", fontsize=10.5)
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)


def _length(row: BarRow, part: int, longest: int, chart: BarChart) -> float:
    whole = (sum(row.counts) or 1) if chart.as_shares else longest
    return row.counts[part] / whole


def _interval(line: Line, at: int) -> str:
    if not line.low or not math.isfinite(line.low[at]):
        return ""
    return f"{line.low[at]:.3g}–{line.high[at]:.3g}"


def _short(name: str, most: int) -> str:
    plain = " ".join(name.split()).replace("$", r"\$")
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def _style() -> Any:
    import matplotlib as mpl

    return mpl.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "agir-cvtoolkit",
            "text.parse_math": False,
            "text.color": C["ink"],
            "axes.labelcolor": C["faint"],
            "axes.edgecolor": C["faint"],
            "axes.facecolor": "none",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.linewidth": 0.8,
            "axes.axisbelow": True,
            "xtick.color": C["faint"],
            "xtick.labelcolor": C["faint"],
            "ytick.color": C["faint"],
            "ytick.labelcolor": C["ink"],
            "ytick.major.size": 0,
            "grid.color": C["grid"],
            "grid.linewidth": 0.8,
            "font.size": 10.5,
            "legend.frameon": False,
            "legend.fontsize": 9.5,
            "legend.handlelength": 1.4,
            "legend.columnspacing": 1.2,
            "hatch.color": C["hatch"],
            "hatch.linewidth": 0.7,
            "figure.facecolor": "none",
        }
    )


def _sheet(height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDE, height), dpi=100)
    return figure, figure.add_subplot()


def _svg(figure: Figure) -> str:
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    stream = io.StringIO()
    FigureCanvasSVG(figure).print_figure(
        stream, format="svg", bbox_inches="tight", pad_inches=0.04, metadata={"Date": None, "Creator": None}
    )
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(
        r"font(-family)?: ?([\d.]+px)? ?'[^;\"]*", lambda m: f"font-size: {m[2]}" if m[2] else "", svg
    )
    # Groups have names that repeat from chart to chart; markers, clips and hatches are named by what they hold.
    svg = re.sub(r' id="[a-zA-Z][\w.]*_\d+"', "", svg)
    svg = re.sub(r"<style.*?</style>", "", svg, count=1, flags=re.S)  # would hold for the whole page
    svg = svg.replace("<svg ", '<svg aria-hidden="true" stroke-linejoin="round" ', 1)
    return with_variables(re.sub(r">\s*\n\s*<", "><", svg))
