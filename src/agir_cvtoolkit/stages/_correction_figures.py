"""What corrections add up to, row by row: of a million rows only the sums are held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from agir_cvtoolkit.ledger import CorrectionRow

SHAPE_OUTCOMES = ("accepted", "edited", "relabelled", "deleted", "added", "unknown")
EMPTY = "empty"
NOBODY = "nobody assigned"


class Figures:
    """Corrections added up: in all, by label and by annotator.

    Labels are those of the predictions; an added shape counts under its own. Means are over shapes whose geometry
    was edited; ``edited_marks`` counts the edited ones of which only flags or attributes were changed.
    """

    def __init__(self) -> None:
        self._all = _Totals()
        self._by_label: dict[str, _Shapes] = {}
        self._by_annotator: dict[str, _Totals] = {}

    def add(self, row: CorrectionRow) -> None:
        """Count a row; all rows of a task come one after the other."""
        self._all.add(row)
        self._by_annotator.setdefault(row.annotator or NOBODY, _Totals()).add(row)
        if row.outcome != EMPTY:
            self._by_label.setdefault(row.label_before or row.label, _Shapes()).add(row)

    def told(self) -> dict[str, object]:
        """Return the figures by name."""
        return {
            **self._all.told(),
            "by_label": {name: found.told() for name, found in sorted(self._by_label.items())},
            "by_annotator": {name: found.told() for name, found in sorted(self._by_annotator.items())},
        }


def summary(rows: Iterable[CorrectionRow]) -> dict[str, object]:
    """Add corrections up; see `Figures`."""
    figures = Figures()
    for row in rows:
        figures.add(row)
    return figures.told()


class _Mean:
    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, value: float | None) -> None:
        if value is not None:
            self._sum += value
            self._count += 1

    def told(self) -> float | None:
        return round(self._sum / self._count, 4) if self._count else None


class _Shapes:
    """Figures of shapes."""

    def __init__(self) -> None:
        self._outcomes: Counter[str] = Counter()
        self._proposals = self._redrawn = 0
        self._iou, self._boundary, self._moved = _Mean(), _Mean(), _Mean()

    def add(self, row: CorrectionRow) -> None:
        self._outcomes[row.outcome] += 1
        self._proposals += row.label_before is not None
        if row.is_redrawn:
            self._redrawn += 1
            self._iou.add(row.iou)
            self._boundary.add(row.boundary_px)
            self._moved.add(row.moved_px)

    def told(self) -> dict[str, object]:
        counts = {name: self._outcomes[name] for name in SHAPE_OUTCOMES}
        return {
            "proposals": self._proposals,
            **counts,
            "edited_marks": counts["edited"] - self._redrawn,
            "share_accepted": round(counts["accepted"] / self._proposals, 4) if self._proposals else None,
            "mean_iou": self._iou.told(),
            "mean_boundary_px": self._boundary.told(),
            "mean_moved_px": self._moved.told(),
        }


class _Totals:
    """Figures of shapes and of records."""

    def __init__(self) -> None:
        self._shapes = _Shapes()
        self._task: int | None = None
        self._frames: dict[int, set[str]] = {}
        self._accepted = self._empty = self._changed = 0

    def add(self, row: CorrectionRow) -> None:
        if row.task_id != self._task:
            self._end_task()
            self._task = row.task_id
        # A frame may be in two jobs of its task.
        self._frames.setdefault(row.frame, set()).add(row.outcome)
        if row.outcome != EMPTY:
            self._shapes.add(row)

    def told(self) -> dict[str, object]:
        self._end_task()
        records = {"accepted": self._accepted, "accepted_empty": self._empty, "changed": self._changed}
        return {"records": records, **self._shapes.told()}

    def _end_task(self) -> None:
        for found in self._frames.values():
            accepted = found <= {"accepted", EMPTY}
            self._accepted += accepted
            self._changed += not accepted
            self._empty += found == {EMPTY}
        self._frames = {}
