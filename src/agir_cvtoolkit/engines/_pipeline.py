"""Reading, predicting and writing at the same time, in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from ._line import Line, Slot
from ._steps import Bounds, Outcome, Steps

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


def pipeline(
    steps: Steps[_Item, Any, Any, _Made], items: Iterable[_Item], bounds: Bounds
) -> Iterator[Outcome[_Item, _Made]]:
    """Take items through `steps` and yield their outcomes in the order of the items.

    Args:
        steps: open in this process.
        items: asked for one by one, from the thread that iterates, when there is room.
        bounds: of what is in work at once.
    """
    line: Line[_Item, _Made] = Line(steps, bounds)
    inside: deque[Slot[_Item, _Made]] = deque()
    try:
        for item in items:
            slot = line.slot(item)
            while inside and (inside[0].made.done() or len(inside) >= bounds.items or not line.fits(slot)):
                yield inside[0].item, inside.popleft().outcome()
            line.take(slot)
            inside.append(slot)
            del slot
        while inside:
            yield inside[0].item, inside.popleft().outcome()
    finally:
        line.close()
