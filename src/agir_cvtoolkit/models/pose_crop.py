"""From a picture to the square that a pose network sees, and back.

Coordinates are continuous: the origin is the top left corner of the top left pixel, on both sides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.records import Box

RGB = NDArray[np.uint8]
_FILL = (127, 127, 127)
"""Colour beyond the picture: 0 after normalisation."""
_COARSE = 0.6
"""Pictures that shrink below this are averaged over areas first, or details would flicker."""


@dataclass(frozen=True, eq=False)
class Crop:
    """A square of the network's input, laid over a picture.

    Attributes:
        matrix: float64 (2, 3): takes points of the picture to points of the input.
        size: height and width of the input in pixels.
    """

    matrix: NDArray[np.float64]
    size: int

    def to_input(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points (n, 2) of the picture as points of the input; NaN stays NaN."""
        moved: NDArray[np.float64] = points @ self.matrix[:, :2].T + self.matrix[:, 2]
        return moved

    def to_picture(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points (n, 2) of the input as points of the picture."""
        moved: NDArray[np.float64] = (points - self.matrix[:, 2]) @ np.linalg.inv(self.matrix[:, :2]).T
        return moved

    def pixels(self, rgb: RGB) -> RGB:
        """Return the input, uint8 (size, size, 3); what lies beyond the picture is grey.

        Args:
            rgb: uint8 (height, width, 3).
        """
        matrix = self.matrix.copy()
        scale = math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))
        if scale < _COARSE:
            height, width = rgb.shape[:2]
            small = max(1, round(width * scale)), max(1, round(height * scale))
            rgb = cv2.resize(rgb, small, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
            matrix[:, 0] *= width / small[0]
            matrix[:, 1] *= height / small[1]
        # OpenCV counts from the centre of the first pixel.
        matrix[:, 2] += matrix[:, :2] @ np.array([0.5, 0.5]) - 0.5
        warped = cv2.warpAffine(
            rgb,
            matrix,
            (self.size, self.size),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=_FILL,
        )
        return np.asarray(warped, dtype=np.uint8)


def crop_around(
    box: Box | None,
    picture_size: tuple[int, int],
    size: int,
    padding: float,
    *,
    turn: float = 0.0,
    zoom: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Crop:
    """Return the square around a box, or around the whole picture.

    Args:
        box: in pixels of the picture; None for all of the picture, without padding.
        picture_size: width and height.
        size: height and width of the input.
        padding: room on each side of the box, as a share of its longer side.
        turn: degrees, clockwise, around the middle.
        zoom: factor; above 1 shows less, larger.
        shift: of the middle, as shares of the square's side.
    """
    if box is None:
        middle = np.array([picture_size[0] / 2, picture_size[1] / 2])
        side = float(max(picture_size))
    else:
        middle = np.array([box.x + box.width / 2, box.y + box.height / 2])
        side = max(box.width, box.height, 1.0) * (1 + 2 * padding)
    middle = middle + np.array(shift) * side
    scale = size / side * zoom
    angle = math.radians(turn)
    cosine, sine = math.cos(angle) * scale, math.sin(angle) * scale
    linear = np.array([[cosine, -sine], [sine, cosine]])
    offset = np.array([size / 2, size / 2]) - linear @ middle
    return Crop(np.column_stack([linear, offset]), size)
