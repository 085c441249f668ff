"""Scores of frames added up: for each annotator, class and week."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from .agreement import ClassScore
from .intervals import Measure, measured

ALL = ""
"""Stands for all classes, or all weeks."""


@dataclass(frozen=True)
class FrameScore:
    """What somebody did on one frame, held against something.

    Attributes:
        annotator: user name.
        frame: what tells the frame from all others: task and number.
        at: when the job was last changed.
        classes: a score for each class; none where neither has a shape.
        proposals: how many were pushed onto the frame; 0 where it is compared with something else.
        untouched: of them, how many are there just as they were pushed.
    """

    annotator: str
    frame: tuple[int, int]
    at: datetime
    classes: tuple[ClassScore, ...]
    proposals: int = 0
    untouched: int = 0

    @property
    def score(self) -> float:
        """The mean of the classes; 1 where both say that there is nothing."""
        return sum(one.score for one in self.classes) / len(self.classes) if self.classes else 1.0


@dataclass(frozen=True)
class ScoreRow:
    """A row of a table of scores.

    Attributes:
        annotator: user name; of two people both, with `` / `` between.
        label: of the class; `ALL` for all of them.
        week: ISO week such as ``2026-W31``; `ALL` for all of them.
        frames: that were compared.
        iou, boundary_f1, oks: means over frames; None where there is nothing of the kind.
        matched, missed, extra: shapes.
        proposals, untouched: of a comparison with proposals, in the row of all classes.
    """

    annotator: str
    label: str
    week: str
    frames: int
    iou: Measure | None
    boundary_f1: Measure | None
    oks: Measure | None
    matched: int
    missed: int
    extra: int
    proposals: int = 0
    untouched: int = 0


def week_of(at: datetime) -> str:
    """Return the ISO 8601 week of a moment, in UTC."""
    year, week, _ = at.astimezone(UTC).isocalendar()
    return f"{year}-W{week:02d}"


def score_rows(scores: Iterable[FrameScore]) -> tuple[ScoreRow, ...]:
    """Add scores up: a row for each annotator, class and week there is, and for all classes and all weeks.

    A frame that was compared several times counts as often. In the row of all classes a frame counts once, with the mean
    of its classes.
    """
    groups: dict[tuple[str, str, str], list[tuple[FrameScore, Sequence[ClassScore]]]] = {}
    for score in scores:
        for week in (ALL, week_of(score.at)):
            groups.setdefault((score.annotator, ALL, week), []).append((score, score.classes))
            for one in score.classes:
                groups.setdefault((score.annotator, one.label, week), []).append((score, (one,)))
    return tuple(_row(*key, groups[key]) for key in sorted(groups))


def _row(
    annotator: str, label: str, week: str, found: Sequence[tuple[FrameScore, Sequence[ClassScore]]]
) -> ScoreRow:
    listed = [one for _, classes in found for one in classes]
    whole = label == ALL
    return ScoreRow(
        annotator,
        label,
        week,
        len(found),
        _measure([[one.iou for one in classes] for _, classes in found]),
        _measure([[one.boundary_f1 for one in classes] for _, classes in found]),
        _measure([[one.oks for one in classes] for _, classes in found]),
        sum(one.matched for one in listed),
        sum(one.missed for one in listed),
        sum(one.extra for one in listed),
        sum(score.proposals for score, _ in found) if whole else 0,
        sum(score.untouched for score, _ in found) if whole else 0,
    )


def _measure(by_frame: Iterable[Sequence[float | None]]) -> Measure | None:
    means = []
    for values in by_frame:
        known = [value for value in values if value is not None]
        if known:
            means.append(sum(known) / len(known))
    return measured(means)
