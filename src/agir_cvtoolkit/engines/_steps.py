"""What an engine is given to do, and what it gives back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

_Item = TypeVar("_Item")
_Item_contra = TypeVar("_Item_contra", contravariant=True)
_Given = TypeVar("_Given")
_Piece = TypeVar("_Piece")
_Piece_co = TypeVar("_Piece_co", covariant=True)
_Made = TypeVar("_Made")
_Made_co = TypeVar("_Made_co", covariant=True)


@dataclass(frozen=True)
class Bounds:
    """How much is in work at once, in each process.

    Attributes:
        readers: threads that read ahead.
        weight: of all items between reading and writing, in the unit of `Steps.weigh` (as a rule bytes); a heavier
            one is taken alone.
        items: how many items at most, however light.
    """

    readers: int = 2
    weight: int = 1_120_000_000
    items: int = 8


class Pieces(Protocol[_Piece_co]):
    """What is found for one item, as it is found; `seconds` that took so far, waiting for the taker left out."""

    @property
    def seconds(self) -> float:
        """Seconds that finding took so far."""
        ...

    def __iter__(self) -> Iterator[_Piece_co]:
        """Yield each piece once."""
        ...


class Steps(Protocol[_Item_contra, _Given, _Piece, _Made_co]):
    """The three steps of some work, ready to run in this process.

    `read` and `write` run in several threads at once; `predict` in one thread, one item after the other in their order.
    Whatever a step raises becomes the outcome of its item, and the next item goes on.
    """

    def weigh(self, item: _Item_contra) -> int:
        """Return what an item weighs in memory; must not raise for a bad item."""
        ...

    def read(self, item: _Item_contra) -> _Given:
        """Read what an item is predicted from."""
        ...

    def predict(self, item: _Item_contra, given: _Given) -> Iterator[_Piece]:
        """Yield what is found, piece by piece."""
        ...

    def write(self, item: _Item_contra, given: _Given, pieces: Pieces[_Piece]) -> _Made_co:
        """Take the pieces while they come, and return what was made of them."""
        ...


class Work(Protocol[_Item_contra, _Made_co]):
    """Work that can be sent to another process: picklable where the engine is not `Threads`."""

    def open(self, worker: int) -> Steps[_Item_contra, Any, Any, _Made_co]:
        """Get ready in this process.

        Args:
            worker: number of the worker, from 0.
        """
        ...


Outcome = tuple[_Item, _Made | BaseException]
"""An item, with what was made of it or with what went wrong."""


class Engine(Protocol):
    """Takes items through the steps of some work."""

    def run(self, work: Work[_Item, _Made], items: Sequence[_Item]) -> Iterator[Outcome[_Item, _Made]]:
        """Yield the outcome of each item, in their order."""
        ...
