"""Pictures of records side by side, to see at a glance what a query finds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from agir_cvtoolkit.records import Box
from agir_cvtoolkit.runs import atomic_path

from .overlay import HIT, RGB, Colour, shrunk

_PAPER: Colour = (250, 249, 246)
_INK: Colour = (33, 37, 41)
_FAINT: Colour = (125, 130, 136)
_BLANK: Colour = (234, 232, 226)
_GAP = 12
_LINE = 17
_AROUND = 0.25
"""How much of a box's longer side is shown around it."""


@dataclass(frozen=True, eq=False)
class SheetPicture:
    """One record on the sheet.

    Attributes:
        record_id: below the picture.
        species: below the picture, above the id; or other words.
        picture: uint8 RGB of shape (height, width, 3); None leaves the cell blank.
        box: what of the picture is meant, in its pixels: it is shown with a little around it, and framed.
        note: in the blank cell.
    """

    record_id: str
    species: str | None = None
    picture: RGB | None = None
    box: Box | None = None
    note: str = ""


def picture_sheet(
    pictures: Iterable[SheetPicture],
    count: int,
    path: Path,
    *,
    title: str = "",
    columns: int = 6,
    cell: int = 260,
    lines: int = 1,
) -> Path:
    """Draw pictures row by row and write a JPEG; each is let go before the next one is taken.

    Args:
        pictures: in order.
        count: their number.
        path: where to.
        title: first line of the sheet.
        columns: so many beside each other.
        cell: width of a picture's place, in pixels; its height is three quarters of that.
        lines: that the first line below a picture may take; the rest of it is cut.

    Returns:
        `path`.
    """
    columns = max(1, min(columns, count))
    rows, tall = -(-count // columns), cell * 3 // 4
    top, caption = _GAP * 2 + 24, 6 + _LINE * (lines + 1)
    size = _GAP + columns * (cell + _GAP), top + rows * (tall + caption + _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(sheet)
    title_font, font = ImageFont.load_default(18), ImageFont.load_default(13)
    pen.text((_GAP, _GAP), _shortened(pen, title, size[0] - 2 * _GAP, title_font), _INK, title_font)
    for number, shown in enumerate(pictures):
        left = _GAP + number % columns * (cell + _GAP)
        upper = top + number // columns * (tall + caption + _GAP)
        pen.rectangle((left, upper, left + cell - 1, upper + tall - 1), _BLANK)
        if shown.picture is not None:
            part = _part(shown.picture, shown.box, (cell, tall))
            sheet.paste(part, (left + (cell - part.width) // 2, upper + (tall - part.height) // 2))
        else:
            pen.text((left + 8, upper + 8), _shortened(pen, shown.note, cell - 16, font), _FAINT, font)
        texts = [
            *_broken(pen, shown.species or "", cell, font, lines),
            _shortened(pen, shown.record_id, cell, font),
        ]
        for line, text in enumerate(texts):
            colour = _INK if line == 0 or line < len(texts) - 1 else _FAINT
            pen.text((left, upper + tall + 3 + _LINE * line), text, colour, font)
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="JPEG", quality=90)
    return path


def _part(picture: RGB, box: Box | None, place: tuple[int, int]) -> Image.Image:
    height, width = picture.shape[:2]
    left, upper, right, lower = 0, 0, width, height
    if box is not None:
        around = _AROUND * max(box.width, box.height)
        left, upper = max(0, int(box.x - around)), max(0, int(box.y - around))
        right = min(width, int(np.ceil(box.x + box.width + around)))
        lower = min(height, int(np.ceil(box.y + box.height + around)))
    # What is smaller than its place is shown larger, so that a seedling can be seen.
    scale = min(place[0] / (right - left), place[1] / (lower - upper))
    size = max(1, round((right - left) * scale)), max(1, round((lower - upper) * scale))
    part = Image.fromarray(shrunk(picture[upper:lower, left:right], max(size))).resize(size)
    if box is not None:
        scale = part.width / (right - left)
        corners = [(box.x - left) * scale, (box.y - upper) * scale]
        corners += [(box.x + box.width - left) * scale - 1, (box.y + box.height - upper) * scale - 1]
        ImageDraw.Draw(part).rectangle(corners, outline=HIT, width=2)
    return part


def _broken(
    pen: ImageDraw.ImageDraw,
    text: str,
    width: int,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    lines: int,
) -> list[str]:
    """Return a text as lines that fit, broken between words; the last one is cut."""
    words = text.split()
    found: list[str] = []
    while words:
        take = 1
        while take < len(words) and pen.textlength(" ".join(words[: take + 1]), font) <= width:
            take += 1
        if len(found) == lines - 1:
            take = len(words)
        found.append(_shortened(pen, " ".join(words[:take]), width, font))
        words = words[take:]
    return found


def _shortened(
    pen: ImageDraw.ImageDraw, text: str, width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont
) -> str:
    if pen.textlength(text, font) <= width:
        return text
    while text and pen.textlength(f"{text}...", font) > width:
        text = text[:-1]
    return f"{text}..."
