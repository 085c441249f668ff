"""Which of the captures that wait a look is about."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agir_cvtoolkit.ledger import Ledger

from ._transfer_options import PRIORITY

if TYPE_CHECKING:
    from agir_cvtoolkit.captures import Capture
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.firebase import CaptureStore

_ALIKE = ("copy of", "near-duplicate of", "looks like", "labelled or in flight")
"""How the rules begin that leave out what looks like something else: it will hardly be chosen later."""


@dataclass(frozen=True)
class Window:
    """Captures to choose from, each part in the order of the queue.

    Attributes:
        fresh: that were never looked at.
        again: that were, and not chosen: they compete once more.
        hopeful: of these, those that were not left out for what they look like.
    """

    fresh: tuple[Capture, ...] = ()
    again: tuple[Capture, ...] = ()
    hopeful: int = 0

    @property
    def captures(self) -> tuple[Capture, ...]:
        """All of them."""
        return (*self.fresh, *self.again)

    @property
    def is_worth_a_look(self) -> bool:
        """Whether anything of it may be chosen: what looked like something else before does so again."""
        return bool(self.fresh or self.hopeful)


def window_of(store: CaptureStore, seen: Mapping[str, Mapping[str, Any]], priority: int, size: int) -> Window:
    """Return `size` waiting captures that are new, and as many of those that were looked at before.

    Without new ones a queue of what nobody wanted would be looked at for ever.

    Args:
        store: where they wait.
        seen: those that were looked at and not chosen, each with the ``rule`` that left it out.
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
    alike = [one for one in again if str(seen[one.capture_id]["rule"]).startswith(_ALIKE)]
    hopeful = [one for one in again if one not in alike]
    return Window(tuple(fresh[:size]), tuple([*hopeful, *alike][:size]), len(hopeful))


def planned_window(settings: Settings, count: int) -> tuple[Window, str]:
    """Return which captures the next round of a loop would look at, and what it would do in words; nothing is changed.

    Args:
        settings: of the loop.
        count: captures that it wants.

    Raises:
        RemoteError: the store fails.
    """
    from agir_cvtoolkit.firebase import open_store

    size = settings.loop.captures.of(count)
    with closing(open_store(settings.firebase)) as store:
        if size <= count:
            first = Window(tuple(store.pending(PRIORITY, count)))
            return first, f"it would transfer the first {len(first.fresh)} of the queue"
        with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
            window = window_of(store, ledger.looked_at(store.place), PRIORITY, size)
    if not window.captures:
        return window, "no capture waits"
    if not window.is_worth_a_look:
        return Window(), f"the {len(window.again)} captures that wait look like others that were chosen"
    new, again = len(window.fresh), len(window.again)
    return (
        window,
        f"it would look at {new} new captures and at {again} again, and transfer {count} of them at most",
    )
