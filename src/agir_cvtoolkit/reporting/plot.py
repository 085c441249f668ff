"""One panel with axes, as the diagrams of trainings use it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from .overlay import Colour

PAPER: Final[Colour] = (250, 249, 246)
INK: Final[Colour] = (33, 37, 41)
FAINT: Final[Colour] = (125, 130, 136)
GRID: Final[Colour] = (222, 220, 213)
LINES: Final[tuple[Colour, ...]] = (
    (24, 110, 160),
    (216, 112, 30),
    (40, 140, 80),
    (150, 80, 170),
    (190, 60, 60),
    (90, 90, 90),
)
FINE: Final = 3
"""Drawn so many times larger, then shrunk: Pillow's lines are not smooth."""


class Panel:
    """Part of a picture with a horizontal and a vertical axis; all places are in values of these axes."""

    def __init__(
        self,
        sheet: Image.Image,
        box: tuple[int, int, int, int],
        x_range: tuple[float, float],
        y_range: tuple[float, float],
    ) -> None:
        """Take a part of a sheet.

        Args:
            sheet: `FINE` times as large as the picture.
            box: left, top, right and bottom of the area between the axes, in pixels of the picture.
            x_range, y_range: values at the ends of the axes.
        """
        self.pen = ImageDraw.Draw(sheet)
        self._box = tuple(value * FINE for value in box)
        self._x, self._y = x_range, y_range
        self._font = ImageFont.load_default(13 * FINE)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the pixel of a place."""
        left, top, right, bottom = self._box
        across = (x - self._x[0]) / (self._x[1] - self._x[0])
        up = (y - self._y[0]) / (self._y[1] - self._y[0])
        return left + (right - left) * across, bottom - (bottom - top) * up

    def axes(self, title: str, x_name: str, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> None:
        """Draw the grid, the numbers and the names."""
        left, top, right, bottom = self._box
        self.pen.text((left, top - 14 * FINE), title, INK, ImageFont.load_default(16 * FINE), anchor="ls")
        for y in y_ticks:
            here = self.at(self._x[0], y)[1]
            self.pen.line((left, here, right, here), GRID, FINE)
            self.pen.text((left - 8 * FINE, here), f"{y:.3g}", FAINT, self._font, anchor="rm")
        for x in x_ticks:
            here = self.at(x, self._y[0])[0]
            self.pen.text((here, bottom + 8 * FINE), f"{x:.3g}", FAINT, self._font, anchor="mt")
        self.pen.text(((left + right) / 2, bottom + 40 * FINE), x_name, FAINT, self._font, anchor="ms")

    def line(self, xs: Sequence[float], ys: Sequence[float], colour: Colour, width: int = 2) -> None:
        """Draw a line; values that are no number leave a gap, a single one is a dot."""
        points = [self.at(x, y) if math.isfinite(y) else None for x, y in zip(xs, ys, strict=True)]
        for a, b in pairwise(points):
            if a is not None and b is not None:
                self.pen.line((*a, *b), colour, width * FINE)
        if len(points) == 1 and points[0] is not None:
            x, y = points[0]
            self.pen.ellipse((x - 4 * FINE, y - 4 * FINE, x + 4 * FINE, y + 4 * FINE), colour)

    def bar(self, x: tuple[float, float], top: float, colour: Colour) -> None:
        """Draw a bar from the bottom up."""
        left, high = self.at(x[0], top)
        right, low = self.at(x[1], self._y[0])
        self.pen.rectangle((left + FINE, min(high, low), right - FINE, low), colour)

    def write(self, text: str, at: tuple[float, float], anchor: str) -> None:
        """Write a text at a pixel of the sheet; `anchor` as Pillow has it."""
        self.pen.text(at, text, INK, self._font, anchor=anchor)

    def legend(self, names: Mapping[str, Colour]) -> None:
        """Write the lines' names beside the panel."""
        _, top, right, _ = self._box
        for number, (name, colour) in enumerate(names.items()):
            y = top + (8 + 20 * number) * FINE
            self.pen.line((right + 12 * FINE, y, right + 30 * FINE, y), colour, 3 * FINE)
            self.pen.text((right + 36 * FINE, y), name, INK, self._font, anchor="lm")


def steps(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers from `low` to `high`, at most so many."""
    wide = max(high - low, 1e-9) / most
    size = 10.0 ** math.floor(math.log10(wide))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= wide)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]
