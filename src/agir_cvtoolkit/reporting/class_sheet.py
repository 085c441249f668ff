"""The tiles that a model does worst on: picture, truth, prediction and where they differ, below each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from agir_cvtoolkit.runs import atomic_path

from .overlay import RGB, WRONG, Colour, overlay

CLASS_COLOURS: Final[tuple[Colour, ...]] = (
    (40, 190, 90),
    (230, 60, 200),
    (255, 180, 30),
    (40, 170, 240),
    (150, 100, 240),
    (200, 220, 60),
)
"""Of the classes but the background, in their order; then from the beginning again."""
_PAPER: Final[Colour] = (250, 249, 246)
_INK: Final[Colour] = (33, 37, 41)
_COLUMNS = ("Picture", "Truth", "Prediction", "Different")
_GAP = 14
_CAPTION = 24


@dataclass(frozen=True, eq=False)
class ClassRow:
    """One tile on the sheet.

    Attributes:
        name: shown below it, with the figure.
        picture: uint8 RGB of shape (height, width, 3).
        truth, said: class indices, uint8 of the picture's shape, 0 the background.
        figure: such as the share of its pixels that are wrong.
    """

    name: str
    picture: RGB
    truth: NDArray[np.uint8]
    said: NDArray[np.uint8]
    figure: float


def class_sheet(
    rows: Sequence[ClassRow], classes: Sequence[str], path: Path, *, title: str = "", cell_width: int = 300
) -> Path:
    """Draw tiles below each other and write a PNG.

    Args:
        rows: from top to bottom; may be empty.
        classes: names, the background first; for the legend.
        path: where to.
        title: first line.
        cell_width: of one picture, in pixels.

    Returns:
        `path`.
    """
    head, text = ImageFont.load_default(18), ImageFont.load_default(14)
    heights = [max(1, round(cell_width * row.picture.shape[0] / row.picture.shape[1])) for row in rows]
    top = _GAP * 2 + 60
    width = _GAP + len(_COLUMNS) * (cell_width + _GAP)
    sheet = Image.new("RGB", (width, top + sum(h + _CAPTION + _GAP for h in heights) + 34), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP, _GAP), title, _INK, ImageFont.load_default(22))
    for number, name in enumerate(_COLUMNS):
        pen.text((_left(number, cell_width), top - 28), name, _INK, head)
    for row, height in zip(rows, heights, strict=True):
        for number, cell in enumerate(_cells(row)):
            small = Image.fromarray(cell).resize((cell_width, height), Image.Resampling.LANCZOS)
            sheet.paste(small, (_left(number, cell_width), top))
        pen.text((_GAP, top + height + 4), f"{row.name}   {row.figure:.3f}", _INK, text)
        top += height + _CAPTION + _GAP
    left = float(_GAP)
    for name, colour in [*zip(classes[1:], _colours(len(classes)), strict=False), ("different", WRONG)]:
        pen.rectangle((left, top + 3, left + 14, top + 17), colour)
        pen.text((left + 21, top), name, _INK, text)
        left += 21 + pen.textlength(name, text) + 24
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG", compress_level=3)
    return path


def painted(rgb: RGB, labels: NDArray[np.uint8]) -> RGB:
    """Lay classes over a picture, each in its colour.

    Args:
        rgb: uint8 of shape (height, width, 3).
        labels: class indices, uint8 of shape (height, width); 0 stays as it is.
    """
    found = rgb
    for number, colour in enumerate(_colours(int(labels.max(initial=0)) + 1), start=1):
        found = overlay(found, labels == number, colour)
    return found


def _cells(row: ClassRow) -> tuple[RGB, ...]:
    wrong = overlay(row.picture, row.truth != row.said, WRONG, 0.8)
    return row.picture, painted(row.picture, row.truth), painted(row.picture, row.said), wrong


def _colours(classes: int) -> list[Colour]:
    return [CLASS_COLOURS[number % len(CLASS_COLOURS)] for number in range(classes - 1)]


def _left(column: int, width: int) -> int:
    return _GAP + column * (width + _GAP)
