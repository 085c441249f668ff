"""One picture that shows a round: what was proposed, what people made of it, what the new model says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from agir_cvtoolkit.agreement import iou
from agir_cvtoolkit.runs import atomic_path

from .overlay import HIT, MISSED, RGB, WRONG, Colour, Mask, comparison, overlay, shrunk

_PAPER: Colour = (250, 249, 246)
_INK: Colour = (33, 37, 41)
_FAINT: Colour = (125, 130, 136)
_BETTER: Colour = (24, 128, 56)
_WORSE: Colour = (190, 40, 30)
_BLANK: Colour = (234, 232, 226)
_COLUMNS = ("Picture", "Proposal", "Correction", "New prediction")
_GAP = 14
_CAPTION = 26


@dataclass(frozen=True, eq=False)
class SheetRow:
    """One record on the sheet.

    Attributes:
        record_id: shown under the picture, with the species.
        picture: uint8 RGB of shape (height, width, 3).
        proposal, correction, prediction: bool masks of the picture's shape; None leaves the cell blank.
        truth: bool mask of the picture's shape; with it errors are coloured and IoUs written, without it
            masks are laid over the picture in one colour.
        species: or None.
    """

    record_id: str
    picture: RGB
    proposal: Mask | None = None
    correction: Mask | None = None
    prediction: Mask | None = None
    truth: Mask | None = None
    species: str | None = None


@dataclass(frozen=True)
class _Fonts:
    title: ImageFont.ImageFont | ImageFont.FreeTypeFont
    head: ImageFont.ImageFont | ImageFont.FreeTypeFont
    text: ImageFont.ImageFont | ImageFont.FreeTypeFont


def contact_sheet(
    rows: Sequence[SheetRow], path: Path, *, title: str = "", cell_width: int = 400, footer: str = ""
) -> Path:
    """Draw records below each other, each as picture, proposal, correction and new prediction, and write a
    PNG.

    Args:
        rows: from top to bottom; may be empty.
        path: where to.
        title: first line of the sheet.
        cell_width: of one picture, in pixels.
        footer: a line below, such as mean IoUs.

    Returns:
        `path`.
    """
    fonts = _Fonts(*(ImageFont.load_default(size) for size in (26, 18, 15)))
    heights = [max(1, round(cell_width * row.picture.shape[0] / row.picture.shape[1])) for row in rows]
    top = _GAP * 2 + (40 if title else 0) + 26
    width = _GAP + len(_COLUMNS) * (cell_width + _GAP)
    below = 34 + (28 if footer else 0)
    height = top + sum(h + _CAPTION + _GAP for h in heights) + below
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    if title:
        pen.text((_GAP, _GAP), title, _INK, fonts.title)
    for column, name in enumerate(_COLUMNS):
        pen.text((_left(column, cell_width), top - 28), name, _INK, fonts.head)
    for row, cell_height in zip(rows, heights, strict=True):
        _row(sheet, pen, row, (top, cell_width, cell_height), fonts)
        top += cell_height + _CAPTION + _GAP
    _legend(pen, top, fonts, judged=any(row.truth is not None for row in rows))
    if footer:
        pen.text((_GAP, top + 30), footer, _INK, fonts.head)
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG", compress_level=3)
    return path


def _row(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, row: SheetRow, place: tuple[int, int, int], fonts: _Fonts
) -> None:
    top, width, height = place
    small = shrunk(row.picture, width * 2)
    name = row.record_id if row.species is None else f"{row.species}   {row.record_id}"
    _paste(sheet, small, (_left(0, width), top), (width, height))
    pen.text((_left(0, width), top + height + 4), _shortened(pen, name, width, fonts), _INK, fonts.text)
    truth = _fitted_mask(row.truth, small)
    first = iou(row.proposal, row.truth) if row.proposal is not None and row.truth is not None else None
    for column, mask in enumerate((row.proposal, row.correction, row.prediction), start=1):
        left = _left(column, width)
        at = left, top + height + 4
        shown = _fitted_mask(mask, small)
        if mask is None or shown is None:
            pen.rectangle((left, top, left + width - 1, top + height - 1), _BLANK)
            pen.text(at, "none", _FAINT, fonts.text)
            continue
        painted = overlay(small, shown) if truth is None else comparison(small, shown, truth)
        _paste(sheet, painted, (left, top), (width, height))
        if row.truth is None:
            pen.text(at, f"{mask.mean():.1%} of the picture", _FAINT, fonts.text)
            continue
        score = iou(mask, row.truth)
        text = f"IoU {score:.3f}"
        pen.text(at, text, _INK, fonts.text)
        if column == 3 and first is not None:
            change = score - first
            after = at[0] + pen.textlength(text + "   ", fonts.text)
            colour = _FAINT if abs(change) < 0.0005 else _BETTER if change > 0 else _WORSE
            pen.text((after, at[1]), f"{change:+.3f}", colour, fonts.text)


def _legend(pen: ImageDraw.ImageDraw, top: int, fonts: _Fonts, *, judged: bool) -> None:
    entries = ((HIT, "right"), (WRONG, "not a plant"), (MISSED, "missed")) if judged else ((HIT, "plant"),)
    left = float(_GAP)
    for colour, text in entries:
        pen.rectangle((left, top + 3, left + 14, top + 17), colour)
        pen.text((left + 21, top), text, _INK, fonts.text)
        left += 21 + pen.textlength(text, fonts.text) + 24


def _left(column: int, width: int) -> int:
    return _GAP + column * (width + _GAP)


def _paste(sheet: Image.Image, rgb: RGB, at: tuple[int, int], size: tuple[int, int]) -> None:
    sheet.paste(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS), at)


def _fitted_mask(mask: Mask | None, like: RGB) -> Mask | None:
    if mask is None:
        return None
    fitted: Mask = shrunk(np.ascontiguousarray(mask).view(np.uint8), max(like.shape[:2])) != 0
    return fitted


def _shortened(pen: ImageDraw.ImageDraw, text: str, width: int, fonts: _Fonts) -> str:
    if pen.textlength(text, fonts.text) <= width:
        return text
    while text and pen.textlength(f"{text}...", fonts.text) > width:
        text = text[:-1]
    return f"{text}..."
