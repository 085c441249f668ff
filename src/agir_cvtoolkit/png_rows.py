"""PNG files written a few rows at a time (ISO/IEC 15948): memory is that of a band, however large the picture.

OpenCV packs and Pillow packs need all of a picture and of its file in memory, but are faster for small ones.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import IO

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.uint8] | NDArray[np.uint16]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _RGBA = 0, 2, 6
_COLOUR = {2: _GREY, 3: _RGB, 4: _RGBA}
_NONE, _UP = 0, 2


def write_rows(stream: IO[bytes], size: tuple[int, int], rows: Iterable[Rows]) -> None:
    """Write a picture.

    Args:
        stream: where to.
        size: width and height.
        rows: bands from top to bottom, all of one shape but for the number of rows: (rows, width), uint8 or uint16,
            or (rows, width, 3 or 4), uint8.
    """
    packing = zlib.compressobj(1, strategy=zlib.Z_RLE)
    above: NDArray[np.uint8] | None = None
    for band in rows:
        if above is None:
            depth, colour = band.dtype.itemsize * 8, _COLOUR[band.shape[2] if band.ndim == 3 else 2]
            stream.write(_SIGNATURE + _chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)))
            above = np.zeros((1, size[0] * band[0, 0].nbytes), np.uint8)
        lines = np.ascontiguousarray(band if band.dtype == np.uint8 else band.astype(">u2"))
        lines = lines.view(np.uint8).reshape(len(band), -1)
        filtered = np.empty((len(lines), lines.shape[1] + 1), np.uint8)
        # Of photographs the difference to the row above is packed; masks are smaller as they are.
        filtered[:, 0] = _UP if band.ndim == 3 else _NONE
        filtered[:, 1:] = lines
        if band.ndim == 3:
            filtered[1:, 1:] -= lines[:-1]
            filtered[:1, 1:] -= above
            above = lines[-1:].copy()
        packed = packing.compress(filtered.data)
        if packed:
            stream.write(_chunk(b"IDAT", packed))
    stream.write(_chunk(b"IDAT", packing.flush()) + _chunk(b"IEND", b""))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
