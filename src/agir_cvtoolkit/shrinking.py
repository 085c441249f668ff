"""Pictures made smaller by averaging over areas."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from .scratch import let_go

_LARGE = 1 << 26
_ROWS_PIXELS = 1 << 21


def averaged(rgb: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a smaller picture: each pixel is the mean of the area that it covers.

    Above 67 megapixels memory beside the result is that of a band, wherever the picture lies.

    Args:
        rgb: uint8 of shape (height, width, 3).
        size: width and height of the result, at most those of the picture.
    """
    height, width = rgb.shape[:2]
    if height * width <= _LARGE:
        return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    scale = height / size[1]
    small = np.empty((size[1], size[0], 3), dtype=np.uint8)
    step = max(1, int(_ROWS_PIXELS / width / scale))
    for top in range(0, size[1], step):
        bottom = min(top + step, size[1])
        first, last = math.floor(top * scale), min(height, math.ceil(bottom * scale))
        narrow = cv2.resize(
            rgb[first:last].astype(np.float32), (size[0], last - first), interpolation=cv2.INTER_AREA
        )
        for row in range(top, bottom):
            begin, end = row * scale - first, min((row + 1) * scale, height) - first
            lines = np.arange(math.floor(begin), math.ceil(end))
            shares = (np.minimum(lines + 1, end) - np.maximum(lines, begin)).astype(np.float32)
            part = narrow[lines[0] : lines[-1] + 1] * (shares / shares.sum())[:, None, None]
            small[row] = np.rint(part.sum(axis=0))
        let_go(rgb)
    return small
