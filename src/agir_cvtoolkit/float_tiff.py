"""Colour TIFF files of floats, which Pillow does not open: of a camera's calibrated reflectances, for one."""

from __future__ import annotations

from typing import IO

import numpy as np
from PIL import Image, TiffImagePlugin

from .picture_limit import allowed_megapixels, allowed_pixels
from .pixel_depth import as_8_bit

_WIDTH, _HEIGHT, _SAMPLES, _SAMPLE_FORMAT = 256, 257, 277, 339
_FLOATS = 3


def opened(stream: IO[bytes]) -> Image.Image | None:
    """Decode a file to upright 8-bit RGB or RGBA; None where it is no TIFF of three or four floats a pixel.

    Args:
        stream: of the file, from its beginning on.

    Raises:
        OSError: it is damaged, or larger than a picture may be.
    """
    stream.seek(0)
    header = stream.read(8)
    if header[:4] not in {b"II*\0", b"MM\0*"}:
        return None
    tags = TiffImagePlugin.ImageFileDirectory_v2(header)
    stream.seek(tags.next)
    tags.load(stream)
    formats = tags.get(_SAMPLE_FORMAT, ())
    if tags.get(_SAMPLES, 1) not in {3, 4} or set(np.ravel(formats).tolist()) != {_FLOATS}:
        return None
    if int(tags[_WIDTH]) * int(tags[_HEIGHT]) > allowed_pixels():
        raise OSError(f"it has more than {allowed_megapixels():,} million pixels")
    import cv2

    stream.seek(0)
    content = np.frombuffer(stream.read(), np.uint8)
    try:
        # Of a TIFF it applies the orientation.
        pixels = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise OSError(" ".join(str(error).split())) from error
    if pixels is None or pixels.dtype.kind != "f":
        raise OSError("its floats cannot be decoded")
    order = [2, 1, 0, 3][: pixels.shape[2]]
    image = Image.fromarray(as_8_bit(pixels[..., order]))
    image.format = "TIFF"
    return image
