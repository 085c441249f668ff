"""Masks as pictures: one palette PNG for each picture, whose pixels are class ids and whose palette has their colours.

Two layouts: plain ``masks/`` with ``classes.json``, and CamVid's folders with ``label_colors.txt``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

import numpy as np
import orjson
from numpy.typing import NDArray
from PIL import Image

from agir_cvtoolkit.errors import DataError, MaskError
from agir_cvtoolkit.labelled import LabelEntry, LabelledPicture, LabelledSet, coloured
from agir_cvtoolkit.shapes import Ellipse, Mask, Points, Polygon, Polyline, Rectangle, Skeleton

from . import areas
from .writing import DEFAULT_SPLIT, Losses, Writing, in_split

BACKGROUND = "background"
_CAMVID_BACKGROUND = "Void"
_MOST = 255
_Canvas = NDArray[np.uint8]


def write_masks(labelled: LabelledSet, out: Writing) -> None:
    """Write ``masks/<split>/<name>.png`` and ``classes.json``; pictures beside them in ``images/<split>``.

    Raises:
        DataError: more than 255 labels cover pixels.
    """
    values = mask_values(labelled.labels)
    palette = palette_of(labelled.labels, values)
    for picture in labelled:
        canvas = painted(picture, values, out.losses)
        name = PurePosixPath(in_split("masks", picture)).with_suffix(".png")
        _save(canvas, palette, out, str(name))
        out.place(picture, in_split("images", picture))
    colours = coloured(labelled.labels)
    listed = [{"id": 0, "name": BACKGROUND, "color": "#000000"}]
    listed += [{"id": value, "name": name, "color": colours[name]} for name, value in values.items()]
    text = orjson.dumps({"classes": listed}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    out.path("classes.json").write_bytes(text)


def write_camvid(labelled: LabelledSet, out: Writing) -> None:
    """Write CamVid: ``<split>/``, ``<split>annot/``, ``<split>.txt`` and ``label_colors.txt``.

    Raises:
        DataError: more than 255 labels cover pixels.
    """
    values = mask_values(labelled.labels)
    palette = palette_of(labelled.labels, values)
    lists: dict[str, list[str]] = {}
    for picture in labelled:
        split = picture.split or DEFAULT_SPLIT
        canvas = painted(picture, values, out.losses)
        mask = PurePosixPath(picture.file_name).with_suffix(".png")
        _save(canvas, palette, out, f"{split}annot/{mask}")
        out.place(picture, f"{split}/{picture.file_name}")
        lists.setdefault(split, []).append(f"/{split}/{picture.file_name} /{split}annot/{mask}\n")
    for split, lines in lists.items():
        out.path(f"{split}.txt").write_text("".join(lines), encoding="utf-8")
    colours = coloured(labelled.labels)
    rows = [f"0 0 0 {_CAMVID_BACKGROUND}"]
    rows += [f"{' '.join(str(c) for c in _rgb(colours[name]))} {name}" for name in values]
    out.path("label_colors.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")


def mask_values(labels: tuple[LabelEntry, ...]) -> dict[str, int]:
    """Return the mask value of each label that covers pixels: its own, else the lowest free one.

    Raises:
        DataError: there are more than 255.
    """
    areal = [label for label in labels if label.kind not in {"tag", "points", "polyline"}]
    found: dict[str, int] = {}
    for label in areal:
        if label.value is not None and 0 < label.value <= _MOST and label.value not in found.values():
            found[label.name] = label.value
    for label in areal:
        if label.name in found:
            continue
        used = set(found.values())
        free = next((value for value in range(1, _MOST + 1) if value not in used), None)
        if free is None:
            raise DataError(
                f"{len(areal)} labels are more than a mask has values ({_MOST})",
                "Leave some out: --labels NAME=",
            )
        found[label.name] = free
    return dict(sorted(found.items(), key=lambda pair: pair[1]))


def palette_of(labels: tuple[LabelEntry, ...], values: Mapping[str, int]) -> bytes:
    """Return 256 colours of three bytes each; values without a label, and the background, are black."""
    colours = coloured(labels)
    table = bytearray(768)
    for name, value in values.items():
        table[3 * value : 3 * value + 3] = bytes(_rgb(colours[name]))
    return bytes(table)


def painted(picture: LabelledPicture, values: Mapping[str, int], losses: Losses) -> _Canvas:
    """Return the mask of a picture, uint8 of shape (height, width): shapes in their order, later ones on top."""
    canvas: _Canvas = np.zeros((picture.height, picture.width), dtype=np.uint8)
    losses.add("tags", len(picture.tags))
    seen: set[str] = set()
    for shape in picture.shapes:
        if isinstance(shape, Points | Polyline | Skeleton):
            kinds = {Points: "single points", Polyline: "lines", Skeleton: "skeletons"}
            losses.add(kinds[type(shape)])
            continue
        if isinstance(shape, Rectangle):
            losses.add("boxes")
            continue
        patch = _patch(shape, picture, losses)
        if patch is None:
            continue
        if shape.label in seen:
            losses.add("borders between objects of one label")
        seen.add(shape.label)
        if shape.occluded:
            losses.add("occlusions of shapes")
        if shape.confidence is not None:
            losses.add("confidences")
        if shape.attributes:
            losses.add("attributes")
        rows, columns = patch.pixels.shape
        part = canvas[patch.top : patch.top + rows, patch.left : patch.left + columns]
        if (part[patch.pixels] != 0).any():
            losses.add("shapes that lie on others (the upper one has the pixels)")
        part[patch.pixels] = values[shape.label]
    return canvas


def _patch(shape: Mask | Polygon | Ellipse, picture: LabelledPicture, losses: Losses) -> areas.Patch | None:
    try:
        patch = areas.patch_of(shape, picture.size)
    except MaskError as error:
        losses.add(f"shapes that are damaged ({error.problem})")
        return None
    if patch is None:
        losses.add("shapes without a pixel")
    return patch


def _save(canvas: _Canvas, palette: bytes, out: Writing, relative: str) -> None:
    image = Image.frombytes("P", (canvas.shape[1], canvas.shape[0]), canvas.tobytes())
    image.putpalette(palette)
    image.save(out.path(relative), format="PNG", compress_level=3)


def _rgb(colour: str) -> tuple[int, int, int]:
    number = int(colour.lstrip("#"), 16)
    return number >> 16 & 255, number >> 8 & 255, number & 255
