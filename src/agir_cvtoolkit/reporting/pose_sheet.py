"""One picture that shows what the device loop did: poses before, the truth or the correction, and after."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from agir_cvtoolkit.agreement import pck
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.poses import Pose
from agir_cvtoolkit.runs import atomic_path

from .overlay import RGB, Colour
from .skeletons import LEFT, MIDDLE, OFF, RIGHT, places, scaled, skeleton

_PAPER: Colour = (250, 249, 246)
_INK: Colour = (33, 37, 41)
_FAINT: Colour = (125, 130, 136)
_BETTER: Colour = (24, 128, 56)
_WORSE: Colour = (190, 40, 30)
_BLANK: Colour = (234, 232, 226)
_GAP = 14
_CAPTION = 26


@dataclass(frozen=True, eq=False)
class PoseRow:
    """One record on the sheet.

    Attributes:
        record_id: shown under the picture.
        picture: uint8 RGB of shape (height, width, 3).
        poses: one for each column, in pixels of the picture; None leaves the cell blank.
        truth: against which the poses are judged; None leaves them unjudged.
        tolerance: in pixels; a joint nearer to the truth is right.
    """

    record_id: str
    picture: RGB
    poses: tuple[Pose | None, ...]
    truth: Pose | None = None
    tolerance: float = math.inf


@dataclass(frozen=True)
class _Fonts:
    title: ImageFont.ImageFont | ImageFont.FreeTypeFont
    head: ImageFont.ImageFont | ImageFont.FreeTypeFont
    text: ImageFont.ImageFont | ImageFont.FreeTypeFont


def pose_sheet(
    rows: Sequence[PoseRow],
    columns: Sequence[str],
    schema: JointSchema,
    path: Path,
    *,
    title: str = "",
    footer: str = "",
    wrong: str = "too far from where it should be",
    cell_width: int = 400,
) -> Path:
    """Draw records below each other, each as one picture with a pose for each column, and write a PNG.

    Args:
        rows: from top to bottom; may be empty.
        columns: heads of the columns, as many as each row has poses.
        schema: of the poses.
        path: where to.
        title: first line of the sheet.
        footer: a line below, such as mean figures.
        wrong: what the legend says of joints beyond the tolerance.
        cell_width: of one picture, in pixels.

    Returns:
        `path`.

    Raises:
        ValueError: a row has more or fewer poses than there are columns.
    """
    fonts = _Fonts(*(ImageFont.load_default(size) for size in (26, 18, 15)))
    heights = [max(1, round(cell_width * row.picture.shape[0] / row.picture.shape[1])) for row in rows]
    top = _GAP * 2 + (40 if title else 0) + 26
    width = _GAP + len(columns) * (cell_width + _GAP)
    height = top + sum(h + _CAPTION + _GAP for h in heights) + 34 + (28 if footer else 0)
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    if title:
        pen.text((_GAP, _GAP), title, _INK, fonts.title)
    for number, name in enumerate(columns):
        pen.text((_left(number, cell_width), top - 28), name, _INK, fonts.head)
    for row, cell_height in zip(rows, heights, strict=True):
        if len(row.poses) != len(columns):
            raise ValueError(f"{row.record_id} has {len(row.poses)} poses for {len(columns)} columns")
        _row(sheet, pen, row, schema, (top, cell_width, cell_height), fonts)
        top += cell_height + _CAPTION + _GAP
    _legend(pen, top, rows, schema, wrong, fonts)
    if footer:
        pen.text((_GAP, top + 30), footer, _INK, fonts.head)
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG", compress_level=3)
    return path


def share_right(pose: Pose, truth: Pose, schema: JointSchema, tolerance: float) -> float:
    """Return the share of the truth's joints that a pose has within `tolerance` pixels; NaN where there are none."""
    hits = pck(places(pose, schema), places(truth, schema), tolerance)
    return float(np.nanmean(hits)) if np.isfinite(hits).any() else math.nan


def _row(
    sheet: Image.Image,
    pen: ImageDraw.ImageDraw,
    row: PoseRow,
    schema: JointSchema,
    place: tuple[int, int, int],
    fonts: _Fonts,
) -> None:
    top, width, height = place
    scale = 2 * width / row.picture.shape[1]
    large = np.asarray(
        Image.fromarray(row.picture).resize((width * 2, height * 2), Image.Resampling.BICUBIC), dtype=np.uint8
    )
    truth = None if row.truth is None else scaled(row.truth, scale)
    first: float | None = None
    for column, pose in enumerate(row.poses):
        left = _left(column, width)
        x, y = float(left), top + height + 4
        if column == 0:
            name = _shortened(pen, row.record_id, width * 0.62, fonts)
            pen.text((x, y), name, _INK, fonts.text)
            x += pen.textlength(name + "   ", fonts.text)
        if pose is None:
            pen.rectangle((left, top, left + width - 1, top + height - 1), _BLANK)
            pen.text((x, y), "none", _FAINT, fonts.text)
            continue
        judged = None if pose is row.truth else truth
        painted = skeleton(large, scaled(pose, scale), schema, truth=judged, tolerance=row.tolerance * scale)
        sheet.paste(Image.fromarray(painted).resize((width, height), Image.Resampling.LANCZOS), (left, top))
        if row.truth is None or pose is row.truth:
            continue
        share = share_right(pose, row.truth, schema, row.tolerance)
        if math.isnan(share):
            continue
        text = f"{share:.0%} right"
        pen.text((x, y), text, _INK, fonts.text)
        if first is None:
            first = share
        elif round(share - first, 2):
            after = x + pen.textlength(text + "   ", fonts.text)
            pen.text((after, y), f"{share - first:+.0%}", _BETTER if share > first else _WORSE, fonts.text)


def _legend(
    pen: ImageDraw.ImageDraw,
    top: int,
    rows: Sequence[PoseRow],
    schema: JointSchema,
    wrong: str,
    fonts: _Fonts,
) -> None:
    """Explain what there is: a schema without pairs has no sides, and there may be nothing hidden."""
    sides = ((LEFT, "left"), (RIGHT, "right"), (MIDDLE, "middle")) if schema.pairs else ((MIDDLE, "joint"),)
    left = float(_GAP)
    for colour, text in (*sides, (OFF, wrong)):
        pen.ellipse((left, top + 3, left + 14, top + 17), colour, _INK)
        pen.text((left + 21, top), text, _INK, fonts.text)
        left += 21 + pen.textlength(text, fonts.text) + 24
    poses = [pose for row in rows for pose in row.poses if pose is not None]
    if any(point.visibility == "occluded" for pose in poses for point in pose.there.values()):
        pen.ellipse((left, top + 3, left + 14, top + 17), None, _INK, 2)
        pen.text((left + 21, top), "behind something", _INK, fonts.text)


def _left(column: int, width: int) -> int:
    return _GAP + column * (width + _GAP)


def _shortened(pen: ImageDraw.ImageDraw, text: str, width: float, fonts: _Fonts) -> str:
    if pen.textlength(text, fonts.text) <= width:
        return text
    while text and pen.textlength(f"{text}...", fonts.text) > width:
        text = text[:-1]
    return f"{text}..."
