"""Which of the labels that came back a loop's models are tested on: drawn from those that were drawn at random."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agir_cvtoolkit.config import LoopTestSet


def drawn_for_testing(
    came: Collection[str], control: int, tested: int, settings: LoopTestSet
) -> tuple[str, ...]:
    """Return which records join the test set.

    Only pictures that were drawn at random are taken, so that the score says something about the pool and not about
    what is hard in it. At most half of all that were drawn so far are, the other half is learned from: a test set that
    the first round left too small grows with each control slice.

    Args:
        came: records of the control slices that came back since the last training.
        control: how many of the control slices came back at all, these included.
        tested: how many are in the test set.
        settings: its sizes.
    """
    wanted = min(settings.most, max(round(settings.share * control), settings.least))
    room = min(wanted, control // 2) - tested
    return tuple(sorted(came, key=_draw)[: max(0, room)])


def _draw(record_id: str) -> str:
    return hashlib.sha256(f"loop|{record_id}".encode("utf-8", "surrogatepass")).hexdigest()
