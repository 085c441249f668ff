"""Large pictures decoded a few rows at a time, by libvips, where Pillow decodes them as a whole.

Pillow reads the header and decides what a file is; libvips only unpacks its samples, with libjpeg, libpng and libtiff
as Pillow does, so that the same pixels come out. What is stored in a way that the two read differently, or that nobody
tested, is left to Pillow.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from .pixel_depth import as_8_bit

EXTRA = "large"
"""The extra of this package that brings libvips."""

_LOADERS = {
    "JPEG": "jpegload_source",
    "MPO": "jpegload_source",
    "PNG": "pngload_source",
    "TIFF": "tiffload_source",
}
_STORED = {
    "jpegload_source": {"RGB", "L", "CMYK;I"},
    "pngload_source": {
        "1", "L;2", "L;4", "L", "LA", "RGB", "RGBA", "P;1", "P;2", "P;4", "P", "I;16B", "LA;16B", "RGB;16B", "RGBA;16B",
    },
    "tiffload_source": {
        "1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I;16B", "I;16N", "RGB;16L", "RGB;16B", "RGB;16N",
    },
}  # fmt: skip
_COMPRESSIONS = {"raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "jpeg"}
_PLANAR_CONFIGURATION, _SEPARATE = 284, 2
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_ROWS_PIXELS = 1 << 18
"""Decoded at once: larger pieces leave holes in the heap that add up to more than they are."""


class RowsError(Exception):
    """A file that libvips does not decode: it is damaged, or not what its header says."""


def can_decode(image: Image.Image) -> bool:
    """Whether `decoded_rows` gives what Pillow would, by the header of a picture that Pillow has opened."""
    loader = _LOADERS.get(image.format or "", "")
    tiles = getattr(image, "tile", ())
    if not loader or not tiles:
        return False
    argument = tiles[0][3]
    stored = argument[0] if isinstance(argument, tuple) else argument
    if stored not in _STORED[loader]:
        return False
    if image.format == "TIFF":
        planes = getattr(image, "tag_v2", {}).get(_PLANAR_CONFIGURATION)
        return image.info.get("compression") in _COMPRESSIONS and planes != _SEPARATE
    # Which 16-bit colour is transparent is told by 8 of its bits in Pillow.
    return not ("transparency" in image.info and "16" in stored) and (
        stored != "CMYK;I" or "adobe" in image.info
    )


def is_there() -> bool:
    """Whether libvips is installed."""
    return _vips() is not None


def bytes_held(image: Image.Image) -> int:
    """Return how many bytes a picture takes whatever decodes it: those that are stored in several passes lie in
    memory as a whole.

    A progressive JPEG is 16-bit coefficients until its last pass, an interlaced PNG is its pixels.
    """
    pixels = image.width * image.height
    if image.info.get("progressive"):
        layers = getattr(image, "layer", [])
        most = max((across * down for _, across, down, _ in layers), default=1)
        return sum(2 * pixels * across * down // most for _, across, down, _ in layers)
    return pixels * len(image.getbands()) if image.info.get("interlace") else 0


def decoded_rows(path: Path, image: Image.Image, bits: int = 16) -> Iterator[tuple[int, Image.Image]]:
    """Decode a file and yield bands of its rows, as they are stored: not yet upright.

    Args:
        path: the file.
        image: the same, opened by Pillow, and such that it `can_decode`.
        bits: of 16-bit samples those that are in use.

    Yields:
        The first row of a band, and its pixels: 8-bit of mode L, LA, RGB, RGBA or CMYK; of 16 bits the upper 8 of those
        in use.

    Raises:
        RowsError: the file is damaged.
    """
    vips: Any = _vips()
    with path.open("rb") as stream:
        try:
            # Read and not mapped, as libvips would: a mapped file counts as memory.
            source = vips.SourceCustom()
            source.on_read(stream.read)
            source.on_seek(stream.seek)
            load = getattr(vips.Image, _LOADERS[image.format or ""])
            # Lines of a TIFF that are missing, or do not unpack, are no error before this level.
            stored = load(source, access="sequential", fail_on="error")
            if sorted((stored.width, stored.height)) != sorted(image.size):
                raise RowsError(f"it is {stored.width}x{stored.height}, its header says otherwise")
            region = vips.Region.new(stored)
            step = max(1, _ROWS_PIXELS // stored.width)
            for top in range(0, stored.height, step):
                rows = min(step, stored.height - top)
                yield top, _band(region.fetch(0, top, stored.width, rows), stored, rows, bits)
        except vips.Error as error:
            raise RowsError(" ".join(str(error).split())) from error


def _band(samples: object, stored: Any, rows: int, bits: int) -> Image.Image:
    wide = stored.format == "ushort"
    band = np.frombuffer(samples, np.uint16 if wide else np.uint8)  # type: ignore[call-overload]
    if wide:
        band = as_8_bit(band, bits)
    mode = "CMYK" if stored.interpretation == "cmyk" else _MODES[stored.bands]
    return Image.frombuffer(mode, (stored.width, rows), band, "raw", mode, 0, 1)


@cache
def _vips() -> ModuleType | None:
    """Return libvips, held to what is needed here: few loaders, one thread, nothing remembered, nothing printed."""
    try:
        import pyvips
    except (ImportError, OSError):  # OSError: the binding is there, the library is not
        return None
    pyvips.block_untrusted_set(True)
    pyvips.cache_set_max(0)
    if "VIPS_CONCURRENCY" not in os.environ:
        pyvips.concurrency_set(1)
    # It says by exceptions what matters.
    logging.getLogger("pyvips").propagate = False
    vips: ModuleType = pyvips
    return vips
