"""This process: one pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ._pipeline import pipeline
from ._steps import Bounds, Outcome, Work

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Threads:
    """Runs work in this process: while one item is predicted, others are read and written."""

    bounds: Bounds = field(default_factory=Bounds)

    def run(self, work: Work[_Item, _Made], items: Sequence[_Item]) -> Iterator[Outcome[_Item, _Made]]:
        """Yield the outcome of each item, in their order."""
        yield from pipeline(work.open(0), items, self.bounds)
