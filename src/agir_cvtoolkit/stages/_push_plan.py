"""What an upload would do: which records are new, there, changed, or share a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.cvat import LabelSet, LabelSpec, NewLabel, Scope, list_tasks
from agir_cvtoolkit.errors import LabelError
from agir_cvtoolkit.ledger import Ledger, PushedFrame, PushedTask, PushKey
from agir_cvtoolkit.records import Item

from ._candidates import Batch, Candidate
from ._connect import Target
from ._push import is_there
from ._replace import Change


@dataclass(frozen=True, eq=False)
class Shared:
    """A record whose picture is another record's too, on the server already or in the same batch.

    Attributes:
        differs: it has other proposals than the owner, whose proposals are the ones that are sent.
    """

    candidate: Candidate
    owner: str
    differs: bool = False


@dataclass
class Tally:
    """What is left out, in units of records."""

    items: list[Item] = field(default_factory=list)
    skipped: int = 0
    failed: int = 0
    left_alone: int = 0
    missing_labels: set[str] = field(default_factory=set)

    def leave_alone(self, record_id: str, units: int, name: str, reason: str) -> None:
        """List a record that is on the server and stays there as it is."""
        advice = "set another cvat_upload.task_name to upload it anew"
        self.items.append(Item(record_id, "skipped", f"is in task '{name}' {reason}; {advice}"))
        self.skipped += units
        self.left_alone += units

    def leave_out(self, shared: Shared) -> None:
        """List a record whose proposals are not sent, because its picture has those of another record."""
        candidate = shared.candidate
        reason = (
            f"has the picture of record '{shared.owner}', and other proposals; only those of '{shared.owner}' are"
            " in CVAT. Take one of both out of the query, or upload them under two names (cvat_upload.task_name)"
        )
        self.items.append(Item(candidate.record_id, "skipped", reason))
        self.skipped += candidate.units
        self.left_alone += candidate.units


@dataclass(frozen=True, eq=False)
class Plan:
    """What a call would do.

    Attributes:
        fresh: candidates whose picture is not on the server.
        known: frames of candidates that are there with the same prediction.
        changed: candidates that are there with another prediction.
        shared: candidates whose picture is there, or in this batch, as another record's.
        finished: of the known, records whose task an earlier call began and this one has brought to its end.
    """

    key: PushKey
    fresh: tuple[Candidate, ...]
    known: tuple[PushedFrame, ...]
    changed: tuple[Change, ...]
    shared: tuple[Shared, ...]
    total: int
    tally: Tally
    finished: frozenset[str] = frozenset()


def vanished_tasks(key: PushKey, target: Target, ledger: Ledger) -> tuple[PushedTask, ...]:
    """Return the finished tasks of a push that somebody has deleted on the server.

    They are listed together; a task that the list lacks, or has under another name, is looked at by itself.

    Raises:
        RemoteError: of its kinds.
    """
    done = [task for task in ledger.tasks_of_push(key.push_id) if task.state == "done"]
    asked = tuple(task.task_id for task in done if task.task_id is not None)
    listed = list_tasks(target.session, Scope(task_ids=asked)).items if asked else ()
    names = {task.id: task.name for task in listed}
    doubtful = (t for t in done if t.task_id is None or names.get(t.task_id) != t.name)
    return tuple(t for t in doubtful if not is_there(target.session, t, ledger.frames_of_task(t)))


def plan_push(
    key: PushKey,
    settings: Settings,
    batch: Batch,
    target: Target,
    ledger: Ledger,
    vanished: Sequence[PushedTask],
) -> Plan:
    """Compare a batch with what the ledger knows to be on the server.

    Args:
        key: of the push.
        settings: with ``cvat_upload``.
        batch: all candidates.
        target: with the labels that there are.
        ledger: of the workspace.
        vanished: tasks that count as not there.
    """
    gone = {task.ordinal for task in vanished}
    ordinals = {t.ordinal for t in ledger.tasks_of_push(key.push_id) if t.state == "done"} - gone
    frames = [f for f in ledger.frames_of_push(key.push_id) if f.ordinal in ordinals]
    there = {frame.record_id: frame for frame in frames}
    owners = {frame.sha256: frame.record_id for frame in reversed(frames) if frame.sha256}
    proposals = {frame.record_id: {frame.prediction_hash} for frame in frames}
    own = tuple(LabelSpec(i, new.name, new.type) for i, new in enumerate(labels_of_tasks(settings, batch)))
    labels = target.labels or LabelSet(own)
    tally = Tally(list(batch.items), batch.skipped, batch.failed)
    fresh: list[Candidate] = []
    known: list[PushedFrame] = []
    changed: list[Change] = []
    shared: list[Shared] = []
    for candidate in batch.candidates:
        frame = there.get(candidate.record_id)
        if frame is None and candidate.sha256 in owners:
            shared.append(Shared(candidate, owners[candidate.sha256]))
            continue
        if frame is not None and candidate.sha256 and frame.sha256 != candidate.sha256:
            tally.leave_alone(candidate.record_id, candidate.units, key.name, "with another picture")
            continue
        if frame is not None and frame.prediction_hash == candidate.prediction_hash:
            known.append(frame)
            continue
        proposals[candidate.record_id] = {candidate.prediction_hash}
        fit = _fitting(candidate, labels, _shape_kind(settings), tally, in_project=target.project is not None)
        if fit is None:
            continue
        proposals[candidate.record_id].add(fit.prediction_hash)
        if frame is None:
            fresh.append(fit)
            if fit.sha256:
                owners[fit.sha256] = fit.record_id
        elif frame.prediction_hash == fit.prediction_hash:
            known.append(frame)
        else:
            changed.append(Change(fit, frame))
    for number, one in enumerate(shared):
        # Of boxes only those whose label there is are sent; the others are listed with their owner.
        fit = _fitting(
            one.candidate, labels, _shape_kind(settings), Tally(), in_project=target.project is not None
        )
        mine = {one.candidate.prediction_hash} | ({fit.prediction_hash} if fit else set())
        if mine.isdisjoint(proposals[one.owner]):
            shared[number] = replace(one, differs=True)
            tally.leave_out(shared[number])
    return Plan(key, tuple(fresh), tuple(known), tuple(changed), tuple(shared), batch.total, tally)


def labels_of_tasks(settings: Settings, batch: Batch) -> tuple[NewLabel, ...]:
    """Return the labels that tasks without a project get."""
    return batch.labels or tuple(NewLabel(name) for name in settings.cvat_upload.labels)


def _fitting(
    candidate: Candidate, labels: LabelSet, kind: str, tally: Tally, *, in_project: bool
) -> Candidate | None:
    """Return what of a candidate has labels that the server takes."""
    problems = _label_problems(candidate, labels, kind, in_project=in_project)
    tally.missing_labels.update(name for name in problems if not _has(labels, name))
    if not problems:
        return candidate
    fit = candidate.without(problems) if candidate.without else None
    for problem in problems.values():
        tally.items.append(Item(candidate.record_id, "failed", problem))
    tally.failed += candidate.units - (fit.units if fit else 0)
    return fit


def _shape_kind(settings: Settings) -> str:
    if settings.cvat_upload.source.type == "detections":
        return "rectangle"
    return settings.cvat_upload.mask_strategy


def _label_problems(candidate: Candidate, labels: LabelSet, kind: str, *, in_project: bool) -> dict[str, str]:
    problems = {}
    for name in candidate.labels:
        try:
            label = labels.find(name)
        except LabelError as error:
            problems[name] = str(error) if in_project else _not_configured(name, labels)
            continue
        own = candidate.kinds.get(name, kind)
        if not label.takes(own):
            problems[name] = (
                f"label '{label.name}' takes {label.type}s, not {own}s; change its type in CVAT or label_map"
            )
    return problems


def _has(labels: LabelSet, name: str) -> bool:
    try:
        labels.find(name)
    except LabelError:
        return False
    return True


def _not_configured(name: str, labels: LabelSet) -> str:
    listed = ", ".join(f"'{label}'" for label in labels.names) or "none"
    return (
        f"Label '{name}' not in task. Its labels will be: {listed}."
        " Add it to cvat_upload.labels, or correct cvat_upload.label_map."
    )
