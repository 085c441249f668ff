"""An embedding that needs no network: where in the picture there is which colour, and how rough it is."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

NAME, VERSION = "layout", "1"
SIDE = 64
_CELLS = 8
DIMENSIONS = 4 * _CELLS * _CELLS
_TEXTURE_WEIGHT = 2.0


def layout_embedding(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the embedding of a picture, float32 of shape (256,), of length 1.

    The mean colour of each of 8 x 8 cells in CIE Lab, after the colour layout descriptor of MPEG-7 (ISO/IEC 15938-3),
    and the standard deviation of its lightness. Two pictures of nearly the same scene point into nearly the same
    direction; of what is in the picture it knows nothing.

    Args:
        picture: uint8 RGB of shape (64, 64, 3).
    """
    lab = cv2.cvtColor(picture.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2Lab)
    step = SIDE // _CELLS
    cells = lab.reshape(_CELLS, step, _CELLS, step, 3).swapaxes(1, 2).reshape(_CELLS * _CELLS, -1, 3)
    means = cells.mean(axis=1) - np.array([50, 0, 0], dtype=np.float32)
    texture = cells[..., 0].std(axis=1) * np.float32(_TEXTURE_WEIGHT)
    flat = np.concatenate([means.reshape(-1), texture]).astype(np.float32)
    length = float(np.linalg.norm(flat))
    unit: NDArray[np.float32] = flat / np.float32(length) if length > 0 else flat
    return unit
