"""What an upload did, counted and written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.ledger import Ledger, PushedAlias, PushedFrame
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.runs import Run

from ._push_plan import Plan
from ._replace import Replaced

STAGE = "upload-cvat"


@dataclass(frozen=True)
class TaskPushed:
    """One task of the push: its id, page, and the units of this run's records in it."""

    task_id: int
    task_url: str
    records: int


@dataclass(frozen=True)
class SamePicture:
    """A record whose picture is on the server as that of another record."""

    record_id: str
    picture_of: str


@dataclass(frozen=True)
class UploadResult:
    """What ``upload-cvat`` did, or in a dry run would do.

    All counts are records; for detections they are boxes.
    ``total_records = uploaded_annotations + skipped + failed``, and
    ``uploaded_annotations = added + replaced + already_there + same_picture``.

    Attributes:
        uploaded_annotations: records whose picture is on the server with its newest proposals, or as another
            record's picture.
        added: of these, those that this call brought there: picture and shapes, read back and counted.
        replaced: of these, those that were there with an earlier prediction and got their new proposals.
        already_there: of these, those that an earlier call had brought there with the same prediction.
        same_picture: of these, those whose picture is there as another record's (`same_pictures`), with the same
            proposals.
        other_proposals: of the skipped, those whose picture is there as another record's with other proposals.
        shapes: on the server for these records.
        negatives: of these, records without any shape.
        left_alone: of the skipped, those that are there and stay as they are: with an earlier prediction, with new
            proposals beside a person's work, without some that somebody deleted, or with another picture, because
            somebody has worked there or may have; or with the proposals of another record of the same picture.
        items: one entry for each skipped and failed record.
        missing_labels: labels that records ask for and the project or task does not have.
        name: of the push; its tasks are called after it.
    """

    run_id: str
    total_records: int
    uploaded_annotations: int
    skipped: int
    failed: int
    task_id: int | None
    task_url: str | None
    shapes: int
    negatives: int
    already_there: int
    left_alone: int
    tasks: tuple[TaskPushed, ...]
    items: tuple[Item, ...]
    push_id: str | None
    project_id: int | None
    organization_slug: str | None
    missing_labels: tuple[str, ...] = ()
    server: str = ""
    name: str = ""
    dry_run: bool = False
    added: int = 0
    replaced: int = 0
    same_picture: int = 0
    same_pictures: tuple[SamePicture, ...] = ()
    other_proposals: tuple[SamePicture, ...] = ()

    @property
    def exit_code(self) -> int:
        """0, 1 where records were skipped or failed, 4 where no record passed the checks."""
        if not self.items:
            return 0
        return 1 if self.uploaded_annotations or self.left_alone else DataError.exit_code


@dataclass(frozen=True)
class _Counts:
    added: int
    replaced: int
    already_there: int
    same_picture: int

    @property
    def total(self) -> int:
        return self.added + self.replaced + self.already_there + self.same_picture


def list_left(plan: Plan, replaced: Replaced) -> None:
    """List the changed records whose proposals stay as they are."""
    for change in plan.changed:
        said = replaced.left.get(change.candidate.record_id)
        if said is not None:
            plan.tally.leave_alone(change.candidate.record_id, change.candidate.units, plan.key.name, said)


def without_left(plan: Plan, left: Mapping[str, str]) -> Plan:
    """List records that are there and stay as they are, each with its reason, instead of counting them."""
    units = {f.record_id: f.units for f in plan.known} | {c.record_id: c.units for c in plan.fresh}
    for record_id in sorted(units.keys() & left.keys()):
        plan.tally.leave_alone(record_id, units[record_id], plan.key.name, left[record_id])
    known = tuple(frame for frame in plan.known if frame.record_id not in left)
    return replace(plan, known=known, fresh=tuple(c for c in plan.fresh if c.record_id not in left))


def result_of(run: Run, plan: Plan, ledger: Ledger, push_id: str, replaced: Replaced) -> UploadResult:
    """Count what is on the server now, and record which tasks hold records of the run."""
    tasks = {t.ordinal: t for t in ledger.tasks_of_push(push_id) if t.state == "done"}
    frames = [f for f in ledger.frames_of_push(push_id) if f.ordinal in tasks]
    by_record = {frame.record_id: frame for frame in frames}
    wanted = _wanted(plan, replaced)
    own = [frame for frame in frames if frame.record_id in wanted]
    shared = _record_aliases(run, plan, ledger, push_id, by_record)
    mine = {f.ordinal for f in own} | {alias.ordinal for alias in shared}
    left = {by_record[id_].ordinal for id_ in replaced.left if id_ in by_record}
    ledger.run_uses(run.run_id, push_id, sorted(mine | left))
    units: Counter[int] = Counter()
    for frame in own:
        units[frame.ordinal] += frame.units
    pushed = tuple(
        TaskPushed(task.task_id, task.url or "", units[ordinal])
        for ordinal, task in tasks.items()
        if task.task_id is not None and ordinal in mine
    )
    return _result(run, plan, _counted(plan, replaced), own, tasks=pushed, push_id=push_id)


def planned_result(run: Run, plan: Plan, replaced: Replaced) -> UploadResult:
    """Count what would be on the server."""
    return _result(run, plan, _counted(plan, replaced), ())


def write_metrics(run: Run, result: UploadResult) -> None:
    """Write the stage's part of ``metrics.json``."""
    content = {f.name: _plain(getattr(result, f.name)) for f in fields(result)}
    for name in ("run_id", "dry_run"):
        content.pop(name)
    number = int(run.read_metrics(STAGE).get("pass", 0))
    if run.read_metrics(STAGE).get("push_id") != result.push_id:
        number += 1
    run.write_metrics(STAGE, content, number=max(1, number))
    if result.uploaded_annotations or not result.total_records:  # what sent nothing is to be done again
        run.mark_done(STAGE, result.push_id or "")


def _wanted(plan: Plan, replaced: Replaced) -> set[str]:
    changed = {change.candidate.record_id for change in plan.changed} - replaced.left.keys()
    return {c.record_id for c in plan.fresh} | {f.record_id for f in plan.known} | changed


def _counted(plan: Plan, replaced: Replaced) -> _Counts:
    changed = {c.candidate.record_id: c.candidate.units for c in plan.changed}
    again = sum(frame.units for frame in plan.known if frame.record_id in replaced.replaced)
    new = sum(
        units for id_, units in changed.items() if id_ in replaced.replaced and id_ not in replaced.left
    )
    same = sum(units for id_, units in changed.items() if id_ in replaced.same and id_ not in replaced.left)
    ended = sum(frame.units for frame in plan.known if frame.record_id in plan.finished - replaced.replaced)
    return _Counts(
        added=sum(candidate.units for candidate in plan.fresh) + ended,
        replaced=again + new,
        already_there=sum(frame.units for frame in plan.known) - again - ended + same,
        same_picture=sum(shared.candidate.units for shared in plan.shared if not shared.differs),
    )


def _record_aliases(
    run: Run, plan: Plan, ledger: Ledger, push_id: str, by_record: dict[str, PushedFrame]
) -> list[PushedAlias]:
    aliases = []
    urls = {task.ordinal: (task.task_id, task.url) for task in ledger.tasks_of_push(push_id)}
    for shared in plan.shared:
        frame = by_record[shared.owner]
        task_id, url = urls[frame.ordinal]
        detail = {"as": shared.owner, "task": task_id, "frame": frame.frame, "url": url}
        aliases.append((PushedAlias(shared.candidate.record_id, frame.ordinal, frame.frame), detail))
    ledger.record_aliases(push_id, run.run_id, aliases)
    return [alias for alias, _ in aliases]


def _result(
    run: Run,
    plan: Plan,
    counts: _Counts,
    frames: Sequence[PushedFrame],
    *,
    tasks: tuple[TaskPushed, ...] = (),
    push_id: str | None = None,
) -> UploadResult:
    return UploadResult(
        run_id=run.run_id,
        total_records=plan.total,
        uploaded_annotations=counts.total,
        skipped=plan.tally.skipped,
        failed=plan.tally.failed,
        task_id=tasks[0].task_id if tasks else None,
        task_url=tasks[0].task_url if tasks else None,
        shapes=sum(frame.shapes or 0 for frame in frames),
        negatives=sum(1 for frame in frames if not frame.shapes),
        already_there=counts.already_there,
        left_alone=plan.tally.left_alone,
        tasks=tasks,
        items=tuple(plan.tally.items),
        push_id=push_id,
        project_id=plan.key.project_id,
        organization_slug=plan.key.organization,
        missing_labels=tuple(sorted(plan.tally.missing_labels)),
        server=plan.key.server,
        name=plan.key.name,
        dry_run=push_id is None,
        added=counts.added,
        replaced=counts.replaced,
        same_picture=counts.same_picture,
        same_pictures=tuple(
            SamePicture(s.candidate.record_id, s.owner) for s in plan.shared if not s.differs
        ),
        other_proposals=tuple(SamePicture(s.candidate.record_id, s.owner) for s in plan.shared if s.differs),
    )


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [one if isinstance(one, str) else asdict(one) for one in value]
    return value
