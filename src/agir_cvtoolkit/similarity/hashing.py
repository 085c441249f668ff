"""Perceptual hash: 64 bits that change little when a picture is scaled, re-encoded or made brighter."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

BITS = 64
_SIDE = 32
_LOW = slice(1, 9)


def perceptual_hash(picture: NDArray[np.uint8]) -> int:
    """Return the DCT hash of a picture: which of its 64 lowest frequencies are above their median.

    Args:
        picture: uint8 of shape (height, width, 3), RGB, upright.

    Returns:
        64 bits, 0 for a picture of one colour.

    After C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), section 3.2.1:
    grey, 32 x 32, DCT-II, the 8 x 8 coefficients beside the constant ones, their median as the threshold.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    waves = cv2.dct(small.astype(np.float32))[_LOW, _LOW].reshape(-1)
    # Rounding errors of a flat picture are no frequencies.
    waves = np.where(np.abs(waves) < 1e-2, 0.0, waves)
    return int.from_bytes(np.packbits(waves > np.median(waves)).tobytes(), "big")
