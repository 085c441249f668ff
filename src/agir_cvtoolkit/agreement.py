"""How far two annotations agree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BoolMask = NDArray[np.bool_]


def iou(first: BoolMask, second: BoolMask) -> float:
    """Intersection over union (Jaccard 1912) of two bool masks of equal shape; 1.0 where both are empty."""
    union = np.count_nonzero(first | second)
    return float(np.count_nonzero(first & second) / union) if union else 1.0


def dice(first: BoolMask, second: BoolMask) -> float:
    """Dice coefficient (Dice 1945) of two bool masks of equal shape; 1.0 where both are empty."""
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return float(2 * np.count_nonzero(first & second) / total) if total else 1.0
