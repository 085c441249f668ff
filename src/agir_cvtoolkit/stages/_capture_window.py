"""Which of the captures that wait a look is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agir_cvtoolkit.captures import Capture
    from agir_cvtoolkit.firebase import CaptureStore

_ALIKE = ("copy of", "near-duplicate of", "looks like", "labelled or in flight")
"""How the rules begin that leave out what looks like something else: it will hardly be chosen later."""


@dataclass(frozen=True)
class Window:
    """Captures to choose from, each part in the order of the queue.

    Attributes:
        fresh: that were never looked at.
        again: that were, and not chosen: they compete once more.
    """

    fresh: tuple[Capture, ...] = ()
    again: tuple[Capture, ...] = ()

    @property
    def captures(self) -> tuple[Capture, ...]:
        """All of them."""
        return (*self.fresh, *self.again)


def window_of(store: CaptureStore, seen: Mapping[str, str], priority: int, size: int) -> Window:
    """Return `size` waiting captures that are new, and as many of those that were looked at before.

    Without new ones a queue of what nobody wanted would be looked at for ever.

    Args:
        store: where they wait.
        seen: those that were looked at and not chosen, each with the rule that left it out.
        priority: lowest priority that counts.
        size: so many at most of each kind.
    """
    limit = 2 * size
    while True:
        waiting = store.pending(priority, limit)
        fresh = [one for one in waiting if one.capture_id not in seen]
        if len(fresh) >= size or len(waiting) < limit:
            break
        limit *= 2
    again = [one for one in waiting if one.capture_id in seen]
    again.sort(key=lambda one: seen[one.capture_id].startswith(_ALIKE))
    return Window(tuple(fresh[:size]), tuple(again[:size]))
