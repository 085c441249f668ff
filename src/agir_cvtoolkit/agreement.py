"""How far two annotations agree."""

from __future__ import annotations

import math

import cv2
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


def boundary(mask: BoolMask) -> BoolMask:
    """Return the foreground pixels of a bool mask that have a background pixel, or the rim, beside them."""
    inner = cv2.erode(
        mask.view(np.uint8),
        cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)),
        borderType=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    rim: BoolMask = mask & (inner == 0)
    return rim


def boundary_distance(first: BoolMask, second: BoolMask) -> float:
    """Mean distance of two boundaries in pixels: the average symmetric surface distance.

    (Σ d(a, B) + Σ d(b, A)) / (|A| + |B|) over the boundary pixels a of A and b of B, with d the Euclidean
    distance to the nearest boundary pixel of the other (Heimann et al. 2009, IEEE Transactions on Medical
    Imaging 28(8), 1251-1265).

    Args:
        first, second: bool masks of equal shape (height, width).

    Returns:
        0.0 where both are empty, infinity where one is.
    """
    to_second, to_first = _distances(first, second)
    count = len(to_second) + len(to_first)
    if not count:
        return 0.0
    if not len(to_second) or not len(to_first):
        return math.inf
    return float((to_second.sum(dtype=np.float64) + to_first.sum(dtype=np.float64)) / count)


def boundary_f1(first: BoolMask, second: BoolMask, tolerance: float = 2.0) -> float:
    """Boundary F1: how much of two boundaries lies within a tolerance of each other (Csurka et al. 2013).

    The harmonic mean of the shares of boundary pixels of either mask that lie at most `tolerance` pixels from
    a boundary pixel of the other.

    Args:
        first, second: bool masks of equal shape (height, width).
        tolerance: in pixels.

    Returns:
        1.0 where both are empty, 0.0 where one is.
    """
    to_second, to_first = _distances(first, second)
    if not len(to_second) or not len(to_first):
        return 1.0 if not len(to_second) and not len(to_first) else 0.0
    precision = float(np.mean(to_second <= tolerance))
    recall = float(np.mean(to_first <= tolerance))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _distances(first: BoolMask, second: BoolMask) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the distances of each boundary's pixels to the other boundary; empty where one has none."""
    a, b = boundary(first), boundary(second)
    return _to(b)[a], _to(a)[b]


def _to(edge: BoolMask) -> NDArray[np.float32]:
    if not edge.any():
        return np.full(edge.shape, np.inf, dtype=np.float32)
    away = (~edge).view(np.uint8)
    return np.asarray(cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), dtype=np.float32)


def oks(
    found: NDArray[np.float64], truth: NDArray[np.float64], sigmas: NDArray[np.float64], area: float
) -> float:
    """Object keypoint similarity of two poses (COCO keypoint evaluation, Ronchi and Perona 2017).

    The mean over the joints that `truth` has of exp(-d² / (2 · area · (2 · sigma)²)), with d the distance in
    pixels; a joint that `found` lacks counts 0.

    Args:
        found, truth: float arrays (joints, 2) in pixels, NaN where a joint is absent.
        sigmas: float array (joints,).
        area: of the animal in square pixels, above 0.

    Returns:
        In [0, 1]; NaN where `truth` has no joint.
    """
    there = np.isfinite(truth).all(axis=1)
    if not there.any():
        return math.nan
    squares = np.square(found[there] - truth[there]).sum(axis=1)
    similar = np.exp(-squares / (2 * area * np.square(2 * sigmas[there])))
    return float(np.where(np.isfinite(squares), similar, 0.0).mean())


def pck(found: NDArray[np.float64], truth: NDArray[np.float64], distance: float) -> NDArray[np.float64]:
    """Correct key points (Yang and Ramanan 2013): which joints lie within a distance of the truth.

    Args:
        found, truth: float arrays (..., joints, 2) in pixels, NaN where a joint is absent.
        distance: in pixels.

    Returns:
        Float array (..., joints): 1.0 or 0.0, NaN where `truth` has no such joint; the mean that ignores NaN is the
        share of correct key points.
    """
    away = np.linalg.norm(found - truth, axis=-1)
    hit = np.where(np.isfinite(away), away <= distance, False).astype(np.float64)
    there = np.isfinite(truth).all(axis=-1)
    return np.where(there, hit, np.nan)
