"""Colour TIFF files of floats, which Pillow does not open: of a camera's calibrated reflectances, for one."""

from __future__ import annotations

from typing import IO, Any

import numpy as np
from PIL import Image, TiffImagePlugin

from .picture_limit import allowed_megapixels, allowed_pixels
from .pixel_depth import as_8_bit

_WIDTH, _HEIGHT, _BITS, _ORIENTATION, _SAMPLES, _SAMPLE_FORMAT = 256, 257, 258, 274, 277, 339
_FLOATS = 3
_SIDEWAYS = {5, 6, 7, 8}
_COPIES = 3
"""Of the samples while they are decoded: the file, what it holds, and that in order."""


def opened(stream: IO[bytes]) -> Image.Image | None:
    """Open a file, to be decoded to upright 8-bit RGB or RGBA; None where it is no TIFF of three or four floats a pixel.

    Args:
        stream: of the file, from its beginning on; read again when the picture is decoded.

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
    samples = tags.get(_SAMPLES, 1)
    if samples not in {3, 4} or set(np.ravel(formats).tolist()) != {_FLOATS}:
        return None
    width, height = int(tags[_WIDTH]), int(tags[_HEIGHT])
    if width * height > allowed_pixels():
        raise OSError(f"it has more than {allowed_megapixels():,} million pixels")
    if tags.get(_ORIENTATION, 1) in _SIDEWAYS:
        width, height = height, width
    bits = int(np.max(tags.get(_BITS, (32,))))
    return _Floats(stream, (width, height), samples, samples * bits // 8)


def bytes_to_decode(image: Image.Image) -> int:
    """Return how many bytes each pixel of a picture that `opened` gave takes while it is decoded; of any other 0."""
    return image.bytes_each if isinstance(image, _Floats) else 0


class _Floats(Image.Image):
    """A picture that is decoded when its pixels are asked for."""

    def __init__(self, stream: IO[bytes], size: tuple[int, int], samples: int, stored: int) -> None:
        super().__init__()
        self.format = "TIFF"
        self._mode = "RGB" if samples == 3 else "RGBA"
        self._size = size
        self._stream: IO[bytes] | None = stream
        self.bytes_each = _COPIES * stored + samples

    def load(self) -> Any:
        """Decode the picture, once.

        Raises:
            OSError: it is damaged.
        """
        if self._stream is not None:
            self.im = _decoded(self._stream, self.size).im
            self._stream = None
        return super().load()


def _decoded(stream: IO[bytes], size: tuple[int, int]) -> Image.Image:
    import cv2

    stream.seek(0)
    content = np.frombuffer(stream.read(), np.uint8)
    try:
        # Of a TIFF it applies the orientation.
        pixels = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise OSError(" ".join(str(error).split())) from error
    if pixels is None or pixels.dtype.kind != "f" or pixels.shape[1::-1] != size:
        raise OSError("its floats cannot be decoded")
    order = [2, 1, 0, 3][: pixels.shape[2]]
    return Image.fromarray(as_8_bit(pixels[..., order]))
