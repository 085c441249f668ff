"""Decoded pictures made upright 8-bit RGB.

Upright means that the EXIF orientation (tag 0x0112, EXIF 2.3 section 4.6.4) has been applied once and for all.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import wide_colours
from .pixel_depth import as_8_bit
from .scratch import beside, let_go

DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, MemoryError, OverflowError, TypeError, LookupError,
    AttributeError, AssertionError, RuntimeError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow's decoders raise for damaged files."""

TURNED_BY_PILLOW = {"TIFF"}
"""Formats whose pictures Pillow itself turns while it decodes them; their size is that of the upright picture."""

_RGB = NDArray[np.uint8]

_EXIF_ORIENTATION = 0x0112
_SIDEWAYS = {5, 6, 7, 8}
_METADATA = {b"eXIf", b"iTXt", b"tEXt", b"zTXt"}
_TILE = 1024


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation of a picture, 1 to 8, without decoding it; 1 where it is missing or wrong."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Pillow decodes a whole PNG to see whether something is said behind its pixels.
            exif = image.getexif() if _speaks_late(image) else Image.Image.getexif(image)
            value = exif.get(_EXIF_ORIENTATION, 1)
    except DAMAGE:  # a damaged EXIF block does not make the picture unusable
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def swaps_sides(orientation: int) -> bool:
    """Whether a picture that is turned upright has its width for height."""
    return orientation in _SIDEWAYS


def upright_rgb(image: Image.Image) -> Image.Image:
    """Decode a picture and return it as upright 8-bit RGB."""
    wide = wide_colours.content_of(image) if wide_colours.are_in(image) else None
    image.load()
    orientation = orientation_of(image)
    rgb = flat_rgb(image if wide is None else wide_colours.decoded(wide, image))
    return rgb.transpose(_TURNS[orientation]) if orientation in _TURNS else rgb


def flat_rgb(image: Image.Image) -> Image.Image:
    """Return a decoded picture as 8-bit RGB: transparency on black, of 16 bits the upper 8, CMYK converted."""
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(as_8_bit(np.asarray(image), wide_colours.bits_of(image)))
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        layered = image.convert("RGBA")
        flat = Image.new("RGBA", layered.size, (0, 0, 0, 255))
        flat.alpha_composite(layered)
        return flat.convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def turned(pixels: _RGB, orientation: int) -> _RGB:
    """Return pixels turned upright, shape (height, width, 3); on disk where `pixels` are, and made tile by tile."""
    if orientation not in _VIEWS:
        return pixels
    view = _VIEWS[orientation](pixels)
    upright = beside(pixels, view.shape, np.uint8)
    for top in range(0, view.shape[0], _TILE):
        for left in range(0, view.shape[1], _TILE):
            tile = np.s_[top : top + _TILE, left : left + _TILE]
            upright[tile] = view[tile]
            let_go(upright, pixels)
    return upright


def _speaks_late(image: Image.Image) -> bool:
    """Whether a PNG file that is not decoded yet has metadata behind its pixels."""
    stream: IO[bytes] | None = getattr(image, "fp", None)
    if image.format != "PNG" or stream is None:
        return True
    at = stream.tell()
    try:
        stream.seek(8)
        inside = False
        while len(header := stream.read(8)) == 8:
            length, kind = struct.unpack(">I4s", header)
            if inside and kind in _METADATA:
                return True
            inside = inside or kind == b"IDAT"
            stream.seek(length + 4, 1)
        return False
    finally:
        stream.seek(at)


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_VIEWS: dict[int, Callable[[_RGB], _RGB]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: pixels[::-1].transpose(1, 0, 2),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: pixels[:, ::-1].transpose(1, 0, 2),
}
