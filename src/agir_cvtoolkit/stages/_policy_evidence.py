"""What a policy goes by: what came back since the last training, and how the model in service did on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from agir_cvtoolkit.ledger import CorrectionRow, Ledger, LoopRow, RoundRow

DAY_S = 24 * 3600.0


@dataclass(frozen=True)
class Slice:
    """How far a model agreed with people on the control slice of one round, in [0, 1] for each picture."""

    number: int
    model: str
    agreement: tuple[float, ...]


@dataclass(frozen=True)
class Evidence:
    """What a policy goes by.

    Attributes:
        effort: of each picture that came back since the last training the share of what was proposed, or is there
            now, that people had to change, in [0, 1].
        learned: pictures of each class that the last training knew.
        pictures: pictures of each class by now.
        slices: control slices, by round.
        days: since the last training, or since the loop began where there was none.
    """

    effort: Mapping[str, float] = field(default_factory=dict)
    learned: Mapping[str, int] = field(default_factory=dict)
    pictures: Mapping[str, int] = field(default_factory=dict)
    slices: tuple[Slice, ...] = ()
    days: float = 0.0


@dataclass(frozen=True)
class Condition:
    """One condition, and what is there.

    Attributes:
        name: as of the setting.
        value: what is there; None where it is not known yet.
        threshold: what is asked for.
        fires: whether it holds.
        missing: in words, what is missing where it does not hold; empty where it does.
    """

    name: str
    value: float | None
    threshold: float
    fires: bool
    missing: str


class PolicyRule(Protocol):
    """A condition that is asked for."""

    def look(self, evidence: Evidence) -> Condition:
        """Return whether it holds."""
        ...


def evidence_of(
    ledger: Ledger, loop: LoopRow, rounds: Iterable[RoundRow], now: datetime | None = None
) -> Evidence:
    """Read what the rounds of a loop have brought.

    Args:
        ledger: of the workspace.
        loop: that asks.
        rounds: of it, in order.
        now: the time; None is that of the clock.
    """
    found = list(rounds)
    runs = [row.run_id for row in found]
    last = last_training(found)
    until = int(last.figures.get("pulls", 0)) if last is not None else 0
    new = ledger.corrections_by_pull(runs, after=until)
    known = ledger.corrections_by_pull(runs, until=until) if until else ()
    learned = _pictures_by_class(known)
    pictures = dict(learned)
    for name, count in _pictures_by_class(new).items():
        pictures[name] = pictures.get(name, 0) + count
    since = datetime.fromisoformat(
        str(last.figures.get("asked", last.changed)) if last is not None else loop.created
    )
    days = ((now or datetime.now(UTC)) - since).total_seconds() / DAY_S
    return Evidence(_effort(new), learned, pictures, _slices([*known, *new], found), max(0.0, days))


def last_training(rounds: Iterable[RoundRow]) -> RoundRow | None:
    """Return the newest round whose labels were, or are being, learned from."""
    trained = [
        row for row in rounds if row.stands in {"pulled", "trained", "evaluated", "promoted", "rejected"}
    ]
    return trained[-1] if trained else None


def _pictures_by_class(rows: Iterable[CorrectionRow]) -> dict[str, int]:
    found: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.outcome not in {"deleted", "empty"}:
            found[row.label].add(row.record_id)
    return {name: len(records) for name, records in sorted(found.items())}


def _effort(rows: Iterable[CorrectionRow]) -> dict[str, float]:
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        found[row.record_id].append(_changed(row))
    return {record: sum(shares) / len(shares) for record, shares in found.items()}


def _changed(row: CorrectionRow) -> float:
    """Return the share of a shape that was changed: all of one that was added or deleted or called something else."""
    if row.outcome in {"accepted", "empty", "unknown"}:
        return 0.0
    if row.outcome == "edited" and row.iou is not None:
        return 1.0 - row.iou
    if row.outcome == "edited" and not row.is_redrawn:
        return 0.0
    return 1.0


def _slices(rows: Iterable[CorrectionRow], rounds: Iterable[RoundRow]) -> tuple[Slice, ...]:
    by_run: dict[str, list[CorrectionRow]] = defaultdict(list)
    for row in rows:
        by_run[row.run_id].append(row)
    slices = []
    for one in rounds:
        control = set(one.figures.get("control", ()))
        effort = _effort(row for row in by_run[one.run_id] if row.record_id in control)
        if effort:
            agreement = tuple(1.0 - effort[record] for record in sorted(effort))
            slices.append(Slice(one.number, str(one.figures.get("predictor", "")), agreement))
    return tuple(slices)
