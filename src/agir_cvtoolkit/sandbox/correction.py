"""What a careful annotator would change on one frame, given the truth. Pixels and boxes only, no server.

An annotator corrects what is visibly wrong. A proposal's outline that runs within `tolerance` pixels of the
true one is left as it is; a plant that is missing, or one that is not there, is corrected however thin it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.agreement import iou
from agir_cvtoolkit.masks import decode, encode_parts

BoolMask = NDArray[np.bool_]
BoxCorners = tuple[float, float, float, float]

_GOOD_MASK = 0.98
_SAME_BOX = 0.3


@dataclass(frozen=True, eq=False)
class MaskCorrection:
    """What becomes of the masks of one frame and label.

    Attributes:
        kept: for each proposal its new mask, the very same object where it is accepted, None where it is
            deleted.
        added: masks that no proposal had.
        pixels_changed: how many pixels of the frame changed between foreground and background.
    """

    kept: tuple[BoolMask | None, ...]
    added: tuple[BoolMask, ...]
    pixels_changed: int


def corrected(proposal: BoolMask, truth: BoolMask, tolerance: int) -> BoolMask:
    """Return the truth, but the proposal where both outlines run within `tolerance` pixels of each other.

    Args:
        proposal, truth: bool, shape (height, width).
        tolerance: pixels; 0 returns the truth.
    """
    if tolerance <= 0 or not proposal.any() or not truth.any():
        return truth.copy()
    wrong = proposal != truth
    near = (_distance_to_outline(truth) <= tolerance) & (_distance_to_outline(proposal) <= tolerance)
    visible = wrong & ~near
    # A visible error is corrected whole: what of it lies near both outlines must not stay behind as a thread.
    return np.where(wrong & (_distance_to(visible) > tolerance + 1), proposal, truth)


def correct_masks(proposals: Sequence[BoolMask], truth: BoolMask, tolerance: int) -> MaskCorrection:
    """Correct the proposals of one label towards the truth of that label.

    A single proposal takes in everything. Of several, each keeps the parts that it overlaps; a part that
    overlaps none is added, a part that overlaps several is shared between them by distance. Where all of them
    together agree with the truth already (IoU of at least .98), nothing is touched.
    """
    before = _union(proposals, truth)
    if proposals and iou(before, truth) >= _GOOD_MASK:
        return MaskCorrection(tuple(proposals), (), 0)
    wanted = corrected(before, truth, tolerance)
    if len(proposals) == 1:
        return MaskCorrection((_outcome(proposals[0], wanted),), (), _difference(before, wanted))
    if not proposals:
        parts = [wanted] if wanted.any() else []
        return MaskCorrection((), tuple(parts), _difference(before, wanted))
    shares = [np.zeros_like(truth) for _ in proposals]
    added = []
    for runs in encode_parts(wanted):
        part = decode(runs, (wanted.shape[1], wanted.shape[0]))
        touching = [i for i, proposal in enumerate(proposals) if (proposal & part).any()]
        if not touching:
            added.append(part)
        elif len(touching) == 1:
            shares[touching[0]] |= part
        else:
            nearest = np.argmin(np.stack([_distance_to(proposals[i]) for i in touching]), axis=0)
            for order, i in enumerate(touching):
                shares[i] |= part & (nearest == order)
    kept = tuple(_outcome(proposal, share) for proposal, share in zip(proposals, shares, strict=True))
    return MaskCorrection(kept, tuple(added), _difference(before, wanted))


@dataclass(frozen=True)
class BoxCorrection:
    """What becomes of the boxes of one frame and label.

    Attributes:
        kept: for each proposal its new corners, its own where it is accepted, None where it is deleted.
        added: boxes that no proposal had.
    """

    kept: tuple[BoxCorners | None, ...]
    added: tuple[BoxCorners, ...]


def correct_boxes(
    proposals: Sequence[BoxCorners], truth: Sequence[BoxCorners], tolerance: float
) -> BoxCorrection:
    """Correct boxes (left, top, right, bottom, in pixels) towards the truth, best overlaps first.

    A proposal whose every side lies within `tolerance` pixels is accepted, one that overlaps a true box by an
    IoU of at least .3 is moved onto it, any other is deleted.
    """
    pairs = sorted(
        ((box_iou(p, t), i, j) for i, p in enumerate(proposals) for j, t in enumerate(truth)), reverse=True
    )
    kept: list[BoxCorners | None] = [None] * len(proposals)
    free = set(range(len(truth)))
    taken: set[int] = set()
    for overlap, i, j in pairs:
        if overlap < _SAME_BOX or i in taken or j not in free:
            continue
        taken.add(i)
        free.discard(j)
        near = all(abs(a - b) <= tolerance for a, b in zip(proposals[i], truth[j], strict=True))
        kept[i] = proposals[i] if near else truth[j]
    return BoxCorrection(tuple(kept), tuple(truth[j] for j in sorted(free)))


def box_iou(first: BoxCorners, second: BoxCorners) -> float:
    """Return the intersection over union of two boxes (left, top, right, bottom)."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    common = max(0.0, width) * max(0.0, height)
    whole = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)) - common
    return common / whole if whole > 0 else 0.0


def _union(masks: Sequence[BoolMask], like: BoolMask) -> BoolMask:
    union = np.zeros_like(like)
    for mask in masks:
        union |= mask
    return union


def _outcome(proposal: BoolMask, wanted: BoolMask) -> BoolMask | None:
    if not wanted.any():
        return None
    return proposal if np.array_equal(proposal, wanted) else wanted


def _difference(before: BoolMask, after: BoolMask) -> int:
    return int(np.count_nonzero(before != after))


def _distance_to_outline(mask: BoolMask) -> NDArray[np.float32]:
    # Distances to the other side are equal for both sides of an edge: 1 for the pixels along it.
    inside = _distance_to(~mask)
    return np.where(mask, inside, _distance_to(mask))


def _distance_to(mask: BoolMask) -> NDArray[np.float32]:
    """Return each pixel's distance to the nearest foreground pixel; infinite where there is none."""
    if not mask.any():
        return np.full(mask.shape, np.inf, dtype=np.float32)
    return np.asarray(cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, 5), dtype=np.float32)
