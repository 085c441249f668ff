"""Run lengths as COCO keeps them: column by column over the whole picture, background first, packed into text.

The packing is that of ``rleToString`` in ``maskApi.c`` of the COCO API (P. Dollár and T.-Y. Lin): differences to the run
before the last one, five bits to a letter, least significant first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.errors import MaskError

from .areas import Patch

_MOST_LETTERS = 12


def runs_of(patch: Patch, size: tuple[int, int]) -> NDArray[np.int64]:
    """Return the runs of a patch in a picture of `size` (width, height), int64."""
    width, height = size
    padded = np.zeros((patch.pixels.shape[1], patch.pixels.shape[0] + 2), dtype=np.int8)
    padded[:, 1:-1] = patch.pixels.T
    change = np.diff(padded, axis=1)
    edges = []
    for sign in (1, -1):
        column, row = np.nonzero(change == sign)
        edges.append((column + patch.left) * height + row + patch.top)
    starts, ends = edges
    # A run that ends at the foot of a column goes on at the head of the next one.
    apart = starts[1:] != ends[:-1]
    starts = np.concatenate([starts[:1], starts[1:][apart]])
    ends = np.concatenate([ends[:-1][apart], ends[-1:]])
    places = np.stack([starts, ends], axis=1).reshape(-1)
    last = [width * height] if not len(places) or places[-1] != width * height else []
    return np.diff(np.concatenate([[0], places, last])).astype(np.int64)


def packed(runs: NDArray[np.int64]) -> str:
    """Return runs as text."""
    values = runs.copy()
    values[3:] -= runs[1:-2]
    letters = np.zeros((len(values), _MOST_LETTERS + 1), dtype=np.uint8)
    wanted = np.zeros_like(letters, dtype=np.bool_)
    active = np.ones(len(values), dtype=np.bool_)
    for place in range(_MOST_LETTERS + 1):
        low = values & 0x1F
        values >>= 5
        more = np.where(low & 0x10, values != -1, values != 0)
        letters[:, place] = (low | np.where(more, 0x20, 0)) + 48
        wanted[:, place] = active
        active = active & more
        if not active.any():
            break
    return letters[wanted].tobytes().decode("ascii")


def unpacked(text: str | bytes) -> NDArray[np.int64]:
    """Return the runs that a text stands for.

    Raises:
        MaskError: it is no such text.
    """
    try:
        raw = text.encode("ascii") if isinstance(text, str) else text
    except UnicodeEncodeError as error:
        raise MaskError("its packed runs hold foreign letters") from error
    letters = np.frombuffer(raw, dtype=np.uint8).astype(np.int64) - 48
    if not len(letters):
        raise MaskError("it has no runs")
    if int(letters.min()) < 0 or int(letters.max()) > 63:
        raise MaskError("its packed runs hold foreign letters")
    ends = np.flatnonzero((letters & 0x20) == 0)
    if not len(ends) or ends[-1] != len(letters) - 1:
        raise MaskError("its packed runs break off")
    begins = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - begins + 1
    if int(lengths.max()) > _MOST_LETTERS:
        raise MaskError("its packed runs hold a number that is too large")
    place = np.arange(len(letters)) - np.repeat(begins, lengths)
    values = np.add.reduceat((letters & 0x1F) << (5 * place), begins)
    values[(letters[ends] & 0x10) != 0] -= (np.int64(1) << (5 * lengths))[(letters[ends] & 0x10) != 0]
    runs = values.copy()
    runs[1::2] = np.cumsum(values[1::2])
    runs[2::2] = np.cumsum(values[2::2])
    return runs


def patch_of_runs(runs: NDArray[np.int64] | Sequence[int], size: tuple[int, int]) -> Patch | None:
    """Return the pixels of runs in a picture of `size` (width, height), None where there are none.

    Raises:
        MaskError: the runs are negative or do not add up to the picture.
    """
    width, height = size
    lengths = np.asarray(runs, dtype=np.int64)
    if lengths.ndim != 1 or not len(lengths):
        raise MaskError("it has no runs")
    if int(lengths.min()) < 0 or int(lengths.max()) > width * height:
        raise MaskError("it has a run that is negative or longer than its picture")
    ends = np.cumsum(lengths)
    if int(ends[-1]) != width * height:
        raise MaskError(
            f"its runs add up to {int(ends[-1])}, a picture of {width}x{height} holds {width * height}"
        )
    starts, stops = ends[:-1:2], ends[1::2]
    some = stops > starts
    starts, stops = starts[some], stops[some]
    if not len(starts):
        return None
    left, right = int(starts[0] // height), int((stops[-1] - 1) // height)
    toggles = np.zeros((right - left + 1) * height + 1, dtype=np.int8)
    toggles[starts - left * height] += 1
    # Runs of no length between two others make one of them: both meet in one place.
    np.subtract.at(toggles, stops - left * height, 1)
    columns = np.cumsum(toggles[:-1], dtype=np.int8).reshape(right - left + 1, height)
    rows = np.flatnonzero(columns.any(axis=0))
    top, bottom = int(rows[0]), int(rows[-1])
    return Patch(left, top, np.ascontiguousarray(columns[:, top : bottom + 1].T != 0))
