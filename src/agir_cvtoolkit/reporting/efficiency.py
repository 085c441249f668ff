"""Scores over labels, strategy by strategy, with intervals, as a PNG; told apart without colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from PIL import Image

from agir_cvtoolkit.runs import atomic_path

from .overlay import Colour
from .plot import FINE, LINES, PAPER, Panel, steps

_DASHES: tuple[tuple[int, ...], ...] = ((), (9, 5), (2, 4), (12, 4, 2, 4), (5, 3), (16, 6))
"""On and off, in pixels; nothing for a whole line."""
_REACH = 5
_SPREAD = 0.025
"""How far lines are set aside from each other, as a share of a doubling, or intervals would hide each other."""


@dataclass(frozen=True)
class EfficiencyLine:
    """One strategy.

    Attributes:
        name: in the legend.
        labels: how many, above 0.
        scores: with so many.
        low, high: intervals of the scores.
    """

    name: str
    labels: tuple[float, ...]
    scores: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def draw_efficiency(
    path: Path,
    title: str,
    lines: Sequence[EfficiencyLine],
    *,
    x_name: str = "labels",
    size: tuple[int, int] = (960, 560),
) -> Path:
    """Draw lines over the logarithm of the labels and write a PNG.

    Args:
        path: where to.
        title: above the lines.
        lines: at least one.
        x_name: of the labels.
        size: width and height in pixels.

    Returns:
        `path`.

    Raises:
        ValueError: there are no lines.
    """
    if not lines:
        raise ValueError(f"{path.name}: there is nothing to draw")
    sheet = Image.new("RGB", (size[0] * FINE, size[1] * FINE), PAPER)
    places = sorted({labels for line in lines for labels in line.labels})
    ends = [value for line in lines for value in (*line.low, *line.high) if math.isfinite(value)]
    y_ticks = steps(max(0.0, min(ends) - 0.01), min(1.0, max(ends) + 0.01), 7)
    low, high = min(ends[0], *ends, *y_ticks) - 0.01, max(*ends, *y_ticks) + 0.01
    x_range = math.log2(places[0]) - 0.15, math.log2(places[-1]) + 0.15
    panel = Panel(sheet, (64, 58, size[0] - 210, size[1] - 66), x_range, (low, high))
    panel.axes(title, "", (), y_ticks)
    for place in places:
        x, y = panel.at(math.log2(place), low)
        panel.write(f"{place:g}", (x, y + 8 * FINE), anchor="mt")
    panel.write(x_name, (panel.at(sum(x_range) / 2, low)[0], (size[1] - 16) * FINE), anchor="ms")
    for number, line in enumerate(lines):
        aside = (number - (len(lines) - 1) / 2) * _SPREAD
        xs = [math.log2(labels) + aside for labels in line.labels]
        colour = LINES[number % len(LINES)]
        for x, bottom, top in zip(xs, line.low, line.high, strict=True):
            _interval(panel, x, bottom, top, colour)
        points = [panel.at(x, y) for x, y in zip(xs, line.scores, strict=True)]
        _dashed(panel, points, colour, _DASHES[number % len(_DASHES)])
        for point in points:
            _mark(panel, point, colour, number)
        y = (70 + 26 * number) * FINE
        left = (size[0] - 196) * FINE
        _dashed(panel, [(left, y), (left + 44 * FINE, y)], colour, _DASHES[number % len(_DASHES)])
        _mark(panel, (left + 22 * FINE, y), colour, number)
        panel.write(line.name, (left + 52 * FINE, y), anchor="lm")
    with atomic_path(path) as temporary:
        sheet.resize(size, Image.Resampling.LANCZOS).save(temporary, format="PNG", optimize=True)
    return path


def _interval(panel: Panel, x: float, low: float, high: float, colour: Colour) -> None:
    top, bottom = panel.at(x, high), panel.at(x, low)
    panel.pen.line((*top, *bottom), colour, FINE)
    for at in (top, bottom):
        panel.pen.line((at[0] - 4 * FINE, at[1], at[0] + 4 * FINE, at[1]), colour, FINE)


def _dashed(
    panel: Panel, points: Sequence[tuple[float, float]], colour: Colour, dashes: Sequence[int]
) -> None:
    pattern = [float(length * FINE) for length in dashes] or [math.inf]
    part, left = 0, float(pattern[0])
    for (x0, y0), (x1, y1) in pairwise(points):
        length = math.hypot(x1 - x0, y1 - y0)
        done = 0.0
        while done < length:
            run = min(left, length - done)
            if part % 2 == 0:
                a, b = done / length, (done + run) / length
                ends = (x0 + (x1 - x0) * a, y0 + (y1 - y0) * a, x0 + (x1 - x0) * b, y0 + (y1 - y0) * b)
                panel.pen.line(ends, colour, 2 * FINE)
            done += run
            left -= run
            if left <= 0:
                part = (part + 1) % len(pattern)
                left = float(pattern[part])


def _mark(panel: Panel, at: tuple[float, float], colour: Colour, number: int) -> None:
    x, y = at
    r = _REACH * FINE
    shape = number % 5
    if shape == 0:
        panel.pen.ellipse((x - r, y - r, x + r, y + r), colour)
    elif shape == 1:
        panel.pen.rectangle((x - r, y - r, x + r, y + r), colour)
    elif shape == 2:
        panel.pen.polygon([(x, y - r * 1.2), (x + r * 1.1, y + r), (x - r * 1.1, y + r)], colour)
    elif shape == 3:
        panel.pen.polygon([(x, y - 1.4 * r), (x + 1.4 * r, y), (x, y + 1.4 * r), (x - 1.4 * r, y)], colour)
    else:
        panel.pen.polygon([(x, y + r * 1.2), (x + r * 1.1, y - r), (x - r * 1.1, y - r)], colour)
