"""What could be pushed: a record with its picture and the shapes that were predicted or are known.

Shapes are made when they are sent, one record at a time, so memory does not grow with the batch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agir_cvtoolkit.cvat import NewLabel, ServerPlace
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.shapes import Shape

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Candidate:
    """One record that can be pushed.

    Attributes:
        units: what it counts for: 1, or its boxes.
        labels: names that its shapes will carry, as the label map spells them.
        prediction_hash: of what will be sent.
        draw: makes the shapes; the label names pass through the function given.
        without: the same without the shapes of some labels, None where none are left; where it is not given,
            the record goes whole or not at all.
        source: the file that the source named, where the record is all of it; the original may be another.
        place: where the server finds the picture by itself; then `file_name` is its path there.
        kinds: of shape by label, where labels of one record carry different ones.
    """

    record_id: str
    file_name: str
    image: Path
    sha256: str
    width: int
    height: int
    units: int
    labels: tuple[str, ...]
    prediction_hash: str
    draw: Callable[[Callable[[str], str]], tuple[Shape, ...]]
    without: Callable[[Collection[str]], Candidate | None] | None = None
    source: Path | None = None
    place: ServerPlace | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Batch:
    """All candidates of a call and what could not become one; `total` counts units of both.

    Attributes:
        labels: of tasks without a project, where they are not those that are configured.
    """

    candidates: tuple[Candidate, ...]
    items: tuple[Item, ...]
    total: int
    skipped: int
    failed: int
    labels: tuple[NewLabel, ...] = ()


class Collector:
    """Candidates and what could not become one, as they come."""

    def __init__(self) -> None:
        self.candidates: list[Candidate] = []
        self.items: list[Item] = []
        self.counts = {"skipped": 0, "failed": 0}

    def leave(self, record_id: str, outcome: str, reason: str, units: int) -> None:
        """List a record that was ``skipped`` or has ``failed``, worth so many units, and log it."""
        _log.warning("%s", reason if record_id in reason else f"record {record_id}: {reason}")
        self.items.append(Item(record_id, outcome, reason))
        self.counts[outcome] += units

    def batch(self) -> Batch:
        """Return all that came."""
        total = sum(c.units for c in self.candidates) + sum(self.counts.values())
        return Batch(
            tuple(self.candidates), tuple(self.items), total, self.counts["skipped"], self.counts["failed"]
        )
