"""A curve over rounds, as a PNG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from agir_cvtoolkit.runs import atomic_path

from .overlay import Colour

_PAPER: Colour = (250, 249, 246)
_INK: Colour = (33, 37, 41)
_FAINT: Colour = (125, 130, 136)
_GRID: Colour = (222, 220, 213)
_COLOURS: tuple[Colour, ...] = ((24, 110, 160), (216, 112, 30), (40, 140, 80), (150, 80, 170))
_INSET = 34
"""Pixels between the axis and the first step, so that its value stands free."""
_FINE = 3
"""Drawn so many times larger, then shrunk: Pillow's lines are not smooth."""


def curve(
    path: Path,
    title: str,
    ticks: Sequence[str],
    lines: Mapping[str, Sequence[float]],
    *,
    x_name: str = "",
    y_name: str = "",
    size: tuple[int, int] = (900, 560),
) -> Path:
    """Draw lines of shares (0 to 1) over steps and write a PNG.

    Args:
        path: where to.
        title: first line.
        ticks: what is written under each step, such as the corrections so far.
        lines: by name, one value for each step; NaN leaves a gap.
        x_name, y_name: of the axes.
        size: width and height in pixels.

    Returns:
        `path`.

    Raises:
        ValueError: a line has more or fewer values than there are steps, or there are no steps.
    """
    if not ticks or any(len(values) != len(ticks) for values in lines.values()):
        raise ValueError(
            f"{path.name}: every line needs one value for each of {len(ticks)} steps, at least one"
        )
    width, height = (value * _FINE for value in size)
    image = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(image)
    big, text = (ImageFont.load_default(points * _FINE) for points in (20, 14))
    left, right, top, bottom = (v * _FINE for v in (74, size[0] - 130, 76, size[1] - 76))
    low, high, step = _range([v for values in lines.values() for v in values if math.isfinite(v)])

    def at(number: int, value: float) -> tuple[float, float]:
        share = number / (len(ticks) - 1) if len(ticks) > 1 else 0.5
        first, last = left + _INSET * _FINE, right - _INSET * _FINE
        return first + (last - first) * share, bottom - (bottom - top) * (value - low) / (high - low)

    pen.text((left, 22 * _FINE), title, _INK, big)
    for number in range(round((high - low) / step) + 1):
        value = low + number * step
        y = at(0, value)[1]
        pen.line((left, y, right, y), _GRID, _FINE)
        pen.text((left - 10 * _FINE, y), f"{value:.0%}", _FAINT, text, anchor="rm")
    for number, tick in enumerate(ticks):
        pen.text((at(number, low)[0], bottom + 10 * _FINE), tick, _INK, text, anchor="mt")
    pen.text(((left + right) / 2, height - 18 * _FINE), x_name, _FAINT, text, anchor="ms")
    pen.text((left, 60 * _FINE), y_name, _FAINT, text, anchor="ls")
    names = []
    for (name, values), colour in zip(lines.items(), _COLOURS * len(lines), strict=False):
        points = [at(n, v) if math.isfinite(v) else None for n, v in enumerate(values)]
        for a, b in pairwise(points):
            if a is not None and b is not None:
                pen.line((*a, *b), colour, 3 * _FINE)
        for point, value in zip(points, values, strict=True):
            if point is not None:
                reach = 5 * _FINE
                pen.ellipse((point[0] - reach, point[1] - reach, point[0] + reach, point[1] + reach), colour)
                pen.text((point[0], point[1] - 10 * _FINE), f"{value:.0%}", colour, text, anchor="mb")
        known = [point for point in points if point is not None]
        if known:
            names.append((known[-1][1], name, colour))
    _names(pen, names, right + 14 * _FINE, text)
    with atomic_path(path) as temporary:
        image.resize(size, Image.Resampling.LANCZOS).save(temporary, format="PNG", optimize=True)
    return path


def _range(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the ends of the axis and its step: what the values need, in even steps, within 0 to 1."""
    if not values:
        return 0.0, 1.0, 0.2
    low, high = max(0.0, min(values)), min(1.0, max(values))
    step = next(s for s in (0.05, 0.1, 0.2) if (high - low) / s <= 7 or s == 0.2)
    start = max(0.0, math.floor(low / step + 1e-9) * step - step)
    end = min(1.0, math.ceil(high / step - 1e-9) * step + step)
    return start, max(end, start + step), step


def _names(
    pen: ImageDraw.ImageDraw,
    names: Sequence[tuple[float, str, Colour]],
    x: float,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:
    """Write the lines' names at their ends, none over another."""
    free = -math.inf
    for y, name, colour in sorted(names):
        free = max(y, free + 18 * _FINE)
        pen.text((x, free), name, colour, font, anchor="lm")
