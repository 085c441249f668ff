"""Colours of 16-bit samples that hold fewer bits: Pillow would keep the upper 8 of them, which are dark, or nothing."""

from __future__ import annotations

from typing import IO

import numpy as np
from PIL import Image

from .picture_limit import WHOLE_SAMPLES, bits_in_use
from .pixel_depth import as_8_bit

RAW_FORMATS = frozenset({"PNG", "TIFF"})
"""Formats that do not say how many bits of a sample are in use; the decoders of others scale by what the file says."""

_COLOURS = frozenset({"RGB", "RGBA", "LA"})


def bits_of(image: Image.Image) -> int:
    """Return how many bits of a 16-bit sample of a picture are in use."""
    return bits_in_use() if image.format in RAW_FORMATS else WHOLE_SAMPLES


def are_in(image: Image.Image) -> bool:
    """Whether a picture that Pillow has opened and not decoded has colours that Pillow would decode too dark."""
    if bits_of(image) == WHOLE_SAMPLES or image.mode not in _COLOURS:
        return False
    arguments = [tile[3] for tile in getattr(image, "tile", ())]
    return any("16" in str(one[0] if isinstance(one, tuple) else one) for one in arguments)


def content_of(image: Image.Image) -> bytes:
    """Return the file of a picture that Pillow has opened and not decoded.

    Raises:
        OSError: it is decoded already.
    """
    stream: IO[bytes] | None = getattr(image, "fp", None)
    if stream is None:
        raise OSError("its file is let go of")
    at = stream.tell()
    stream.seek(0)
    content = stream.read()
    stream.seek(at)
    return content


def decoded(content: bytes, image: Image.Image) -> Image.Image:
    """Decode wide colours to 8-bit RGB or RGBA, turned as Pillow turns them.

    Args:
        content: of the file.
        image: the same, decoded by Pillow, which tells more kinds of damage.

    Raises:
        OSError: it is damaged.
    """
    import cv2

    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise OSError(" ".join(str(error).split())) from error
    if pixels is None or pixels.dtype != np.uint16 or pixels.shape[1::-1] != image.size:
        raise OSError("its colours of 16 bits cannot be decoded")
    order = [2, 1, 0, 3][: pixels.shape[2]]
    return Image.fromarray(as_8_bit(pixels[..., order], bits_of(image)))
