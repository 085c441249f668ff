"""Every record of the workspace in one row: what was predicted, chosen, sent, and what people made of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from agir_cvtoolkit.ledger import Ledger, RecordOutcome

from ._correction_figures import EMPTY, NOBODY

OUTCOMES = ("accepted", "edited", "relabelled", "deleted", "added")
"""Of shapes, in the order in which they are shown."""
_Key = TypeVar("_Key", str, tuple[str, str])
WAITING, SENT, UNCHANGED, CHANGED = "predicted", "sent", "unchanged", "changed"


@dataclass(frozen=True, slots=True)
class ChosenUnit:
    """That a record was chosen for a batch.

    Attributes:
        rank: place in the order of choice.
        rule: what kept it.
    """

    rank: int | None
    score: float | None
    rule: str
    control: bool


@dataclass(frozen=True, slots=True)
class RecordRow:
    """One record of one run.

    Attributes:
        state: ``predicted``; ``sent``: lies in a task; ``unchanged``: came back as it was proposed; ``changed``.
        counts: shapes by outcome, in the order of `OUTCOMES`.
        labels: classes of its proposals and corrections.
        annotators: who had its jobs.
        agreement: of proposal and correction, in [0, 1]: the mean over its shapes of 1 for an accepted one, the overlap
            (IoU) of an edited one, 0 for one that was deleted or added; 1 where there was nothing to do. None until it
            came back.
        chosen: how it came into a batch; None where it was not chosen, or everything was sent.
        species: that the source names; empty where it names none, or was not asked.
        strata: other groups that the source names, ``column=value``; empty where it was not asked.
    """

    run_id: str
    record_id: str
    sha256: str
    model: str
    uncertainty: float
    state: str
    counts: tuple[int, ...] = (0,) * len(OUTCOMES)
    labels: tuple[str, ...] = ()
    annotators: tuple[str, ...] = ()
    agreement: float | None = None
    task_id: int | None = None
    chosen: ChosenUnit | None = None
    species: str = ""
    strata: tuple[str, ...] = ()

    @property
    def edits(self) -> int:
        """Shapes that the person changed, removed or drew."""
        return sum(self.counts[1:])


def read_rows(
    ledger: Ledger, outcomes: Iterable[RecordOutcome], runs: frozenset[str] | None = None
) -> list[RecordRow]:
    """Read all records of some runs (None: of all) out of the ledger.

    A record that was predicted by several runs has a row in each.

    Args:
        ledger: to read.
        outcomes: `Ledger.record_outcomes` of these runs.
        runs: their ids.
    """
    by_record: dict[tuple[str, str], list[RecordOutcome]] = defaultdict(list)
    for outcome in outcomes:
        by_record[outcome.run_id, outcome.record_id].append(outcome)
    sent = {(row.run_id, row.record_id): row.task_id for row in ledger.sent_records()}
    chosen = _chosen(ledger)
    rows = []
    seen = set()
    for one in ledger.predicted_records():
        if runs is not None and one.run_id not in runs:
            continue
        key = (one.run_id, one.record_id)
        seen.add(key)
        rows.append(_row(key, one.sha256, one.model, one.uncertainty, sent, chosen, by_record.get(key, ())))
    # Regions of pictures, and captures of devices, come back under names that no prediction has.
    for key in sorted((by_record.keys() | sent.keys()) - seen):
        if runs is None or key[0] in runs:
            rows.append(_row(key, "", "", float("nan"), sent, chosen, by_record.get(key, ())))
    return rows


def _row(
    key: tuple[str, str],
    sha256: str,
    model: str,
    uncertainty: float,
    sent: Mapping[tuple[str, str], int | None],
    chosen: Mapping[tuple[str, str], ChosenUnit],
    outcomes: Iterable[RecordOutcome],
) -> RecordRow:
    counts = dict.fromkeys(OUTCOMES, 0)
    labels, annotators = set(), set()
    agreement, shapes, task_id = 0.0, 0, sent.get(key)
    for one in outcomes:
        task_id = one.task_id
        annotators.add(one.annotator or NOBODY)
        if one.outcome == EMPTY:
            agreement, shapes = agreement + 1.0, shapes + 1
        elif one.outcome in counts:
            counts[one.outcome] += one.shapes
            labels.add(one.label)
            agreement, shapes = agreement + one.agreement, shapes + one.shapes
    if shapes:
        state = CHANGED if sum(counts.values()) > counts["accepted"] else UNCHANGED
    else:
        state = SENT if key in sent else WAITING
    return RecordRow(
        *key,
        sha256=sha256,
        model=model,
        uncertainty=uncertainty,
        state=state,
        counts=tuple(counts.values()),
        labels=tuple(sorted(labels)),
        annotators=tuple(sorted(annotators)),
        agreement=agreement / shapes if shapes else None,
        task_id=task_id,
        chosen=chosen.get(key),
    )


def _chosen(ledger: Ledger) -> dict[tuple[str, str], ChosenUnit]:
    return {
        (one.run_id, one.unit_id): ChosenUnit(one.rank, one.score, one.rule, one.control)
        for one in ledger.selections()
    }


def shapes_by_class(outcomes: Iterable[RecordOutcome]) -> tuple[tuple[str, str, int], ...]:
    """Return how many shapes of each class had each outcome."""
    counts: Counter[tuple[str, str]] = Counter()
    for one in outcomes:
        if one.outcome in OUTCOMES:
            counts[one.label, one.outcome] += one.shapes
    return tuple((label, outcome, count) for (label, outcome), count in sorted(counts.items()))


@dataclass(frozen=True, slots=True)
class ClassWork:
    """What people did with the shapes of one class.

    Attributes:
        pictures: that have shapes of it.
        changed_pictures: of these, those on which one of its shapes was not accepted.
        shapes: of it.
        changed: of these, those that were not accepted.
        agreement: summed over the shapes, see `RecordOutcome`.
    """

    pictures: int
    changed_pictures: int
    shapes: int
    changed: int
    agreement: float


def work_by_class(outcomes: Iterable[RecordOutcome]) -> Mapping[str, ClassWork]:
    """Add up what people did, by class."""
    return _work((one.label, one) for one in outcomes)


def work_by_person(outcomes: Iterable[RecordOutcome]) -> Mapping[tuple[str, str], ClassWork]:
    """Add up what people did, by annotator and class."""
    return _work(((one.annotator or NOBODY, one.label), one) for one in outcomes)


def _work(keyed: Iterable[tuple[_Key, RecordOutcome]]) -> Mapping[_Key, ClassWork]:
    changed_in: dict[_Key, dict[tuple[str, str], bool]] = defaultdict(dict)
    counts: dict[_Key, Counter[str]] = defaultdict(Counter)
    agreement: dict[_Key, float] = defaultdict(float)
    for key, one in keyed:
        if one.outcome in OUTCOMES:
            is_changed, picture = one.outcome != "accepted", (one.run_id, one.record_id)
            changed_in[key][picture] = is_changed or changed_in[key].get(picture, False)
            counts[key][one.outcome] += one.shapes
            agreement[key] += one.agreement
    return {
        key: ClassWork(
            len(pictures),
            sum(pictures.values()),
            counts[key].total(),
            counts[key].total() - counts[key]["accepted"],
            agreement[key],
        )
        for key, pictures in changed_in.items()
    }
