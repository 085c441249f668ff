"""``upload-cvat``: make CVAT tasks with pre-annotations."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.cvat import LabelSet, LabelSpec
from agir_cvtoolkit.errors import DataError, LabelError, UsageError
from agir_cvtoolkit.ledger import Ledger, PushedFrame, PushedTask, PushKey
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.runs import Run

from ._box_candidates import detection_batch
from ._call import Call
from ._candidates import Batch, Candidate
from ._connect import Target, connect
from ._mask_candidates import segmentation_batch
from ._push import Push, is_there, push_tasks, tidy_up

_log = logging.getLogger(__name__)
STAGE = "upload-cvat"


@dataclass(frozen=True)
class TaskPushed:
    """One task of the push: its id, page, and the units of this run's records in it."""

    task_id: int
    task_url: str
    records: int


@dataclass(frozen=True)
class UploadResult:
    """What ``upload-cvat`` did, or in a dry run would do.

    All counts are records; for detections they are boxes.
    ``total_records = uploaded_annotations + skipped + failed``.

    Attributes:
        uploaded_annotations: records whose picture is on the server and whose shapes were read back and
            counted.
        already_there: of these, how many an earlier call had brought there.
        shapes: on the server for these records.
        negatives: of these, records without any shape.
        left_alone: of the skipped, those that are there with an earlier prediction.
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

    @property
    def exit_code(self) -> int:
        """0, 1 where records were skipped or failed, 4 where no record passed the checks."""
        if not self.items:
            return 0
        return 1 if self.uploaded_annotations or self.left_alone else DataError.exit_code


@dataclass(frozen=True, eq=False)
class _Plan:
    """What a call would do.

    Attributes:
        fresh: candidates that are not on the server.
        known: frames of candidates that are there with the same prediction.
        vanished: tasks of earlier calls that somebody has deleted on the server.
    """

    key: PushKey
    fresh: tuple[Candidate, ...]
    known: tuple[PushedFrame, ...]
    vanished: tuple[PushedTask, ...]
    total: int
    tally: _Tally


@dataclass
class _Tally:
    items: list[Item] = field(default_factory=list)
    skipped: int = 0
    failed: int = 0
    left_alone: int = 0
    missing_labels: set[str] = field(default_factory=set)


def upload_cvat(call: Call | None = None) -> UploadResult:
    """Make CVAT tasks of the run's records, with their masks or boxes as pre-annotations.

    Called again with the same batch it changes nothing on the server. Records that are new join in a further
    task; records that are there with an earlier prediction are left alone and listed, unless another
    ``cvat_upload.task_name`` makes it another push.

    Raises:
        NoRunError: nothing was predicted, or for detections there is no query.
        UsageError: there is nothing to push.
        NotFoundError: the project or organization does not exist.
        RemoteError: the server fails or refuses; a half-made task is removed.
    """
    call = call or Call()
    settings = call.settings()
    run = call.open_run(settings)
    upload = settings.cvat_upload
    with call.work(run, STAGE):
        collect = _collector(run, settings, dry_run=call.dry_run)
        # Before the pictures are looked at, which may take minutes: the password may be wrong.
        target = connect(settings, "cvat_upload", upload.project_id)
        batch = collect()
        if not batch.total:
            raise UsageError(
                f"run {run.run_id} has no records to upload", "Widen the query, then run infer-seg."
            )
        key = _key(run, settings, target)
        ledger_at = Ledger.open_to_read if call.dry_run else Ledger.open
        with ledger_at(settings.io.ledger_url, settings.io.out_root) as ledger, _alone(call, settings, key):
            plan = _plan(key, settings, batch, target, ledger)
            if call.dry_run:
                return _planned(run, plan)
            call.record_config(run, STAGE, settings, settings.dump("cvat_upload", "io"))
            push_id = ledger.open_push(key, run.run_id)
            for task in plan.vanished:
                _log.warning("task %s was deleted on the server; its records are pushed anew", task.task_id)
                ledger.forget_task(task)
            push = Push(push_id, key.name, run.run_id, target, ledger, upload, call.progress)
            if plan.fresh or ledger.has_open_tasks(push_id):
                tidy_up(push, plan.fresh)
                done = _frames_by_record(ledger.frames_of_push(push_id))
                push_tasks(push, [c for c in plan.fresh if c.record_id not in done])
            result = _result(run, plan, ledger, push_id)
        _write_metrics(run, result)
    return result


@contextmanager
def _alone(call: Call, settings: Settings, key: PushKey) -> Iterator[None]:
    """Hold a push, which two runs may share by its name."""
    with ExitStack() as stack:
        try:
            if not call.dry_run:
                named = Run(key.name, Path(settings.io.out_root))
                stack.enter_context(named.lock(f"push-{key.push_id}"))
        except UsageError as error:
            raise UsageError(
                f"another upload-cvat is pushing '{key.name}'",
                "Wait until it has ended, or set another cvat_upload.task_name.",
            ) from error
        yield


def _collector(run: Run, settings: Settings, *, dry_run: bool) -> Callable[[], Batch]:
    if settings.cvat_upload.source.type == "detections":
        return detection_batch(run, settings, dry_run=dry_run)
    return segmentation_batch(run, settings)


def _key(run: Run, settings: Settings, target: Target) -> PushKey:
    upload = settings.cvat_upload
    project = target.project
    return PushKey(
        server=target.session.url,
        project_id=project.id if project else None,
        organization=project.organization if project else upload.organization_slug,
        name=upload.task_name or run.run_id.replace("/", "_"),
        kind=upload.source.type,
    )


def _plan(key: PushKey, settings: Settings, batch: Batch, target: Target, ledger: Ledger) -> _Plan:
    done = [task for task in ledger.tasks_of_push(key.push_id) if task.state == "done"]
    vanished = [task for task in done if not is_there(target.session, task, ledger.frames_of_task(task))]
    ordinals = frozenset(task.ordinal for task in done if task not in vanished)
    there = _frames_by_record(ledger.frames_of_push(key.push_id), ordinals)
    own = tuple(LabelSpec(i, name) for i, name in enumerate(settings.cvat_upload.labels))
    labels = target.labels or LabelSet(own)
    tally = _Tally(list(batch.items), batch.skipped, batch.failed)
    fresh: list[Candidate] = []
    known: list[PushedFrame] = []
    for candidate in batch.candidates:
        frame = there.get(candidate.record_id)
        if frame is not None and frame.prediction_hash == candidate.prediction_hash:
            known.append(frame)
            continue
        fit = _fitting(candidate, labels, _shape_kind(settings), tally, in_project=target.project is not None)
        if fit is None:
            continue
        if frame is None:
            fresh.append(fit)
        elif frame.prediction_hash == fit.prediction_hash:
            known.append(frame)
        else:
            reason = f"is in task '{key.name}' with an earlier prediction; set another cvat_upload.task_name"
            tally.items.append(Item(candidate.record_id, "skipped", reason))
            tally.skipped += fit.units
            tally.left_alone += fit.units
    return _Plan(key, tuple(fresh), tuple(known), tuple(vanished), batch.total, tally)


def _fitting(
    candidate: Candidate, labels: LabelSet, kind: str, tally: _Tally, *, in_project: bool
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
        if not label.takes(kind):
            problems[name] = (
                f"label '{label.name}' takes {label.type}s, not {kind}s; change its type in CVAT or label_map"
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


def _frames_by_record(
    frames: Sequence[PushedFrame], ordinals: frozenset[int] | None = None
) -> Mapping[str, PushedFrame]:
    return {f.record_id: f for f in frames if ordinals is None or f.ordinal in ordinals}


def _result(run: Run, plan: _Plan, ledger: Ledger, push_id: str) -> UploadResult:
    wanted = {c.record_id for c in plan.fresh} | {f.record_id for f in plan.known}
    tasks = {t.ordinal: t for t in ledger.tasks_of_push(push_id) if t.state == "done"}
    frames = [f for f in ledger.frames_of_push(push_id) if f.record_id in wanted and f.ordinal in tasks]
    ledger.run_uses(run.run_id, push_id, sorted({f.ordinal for f in frames}))
    pushed = tuple(
        TaskPushed(task.task_id, task.url or "", sum(f.units for f in frames if f.ordinal == ordinal))
        for ordinal, task in tasks.items()
        if task.task_id is not None and any(f.ordinal == ordinal for f in frames)
    )
    return UploadResult(
        run_id=run.run_id,
        total_records=plan.total,
        uploaded_annotations=sum(f.units for f in frames),
        skipped=plan.tally.skipped,
        failed=plan.tally.failed,
        task_id=pushed[0].task_id if pushed else None,
        task_url=pushed[0].task_url if pushed else None,
        shapes=sum(f.shapes or 0 for f in frames),
        negatives=sum(1 for f in frames if not f.shapes),
        already_there=sum(f.units for f in plan.known),
        left_alone=plan.tally.left_alone,
        tasks=pushed,
        items=tuple(plan.tally.items),
        missing_labels=tuple(sorted(plan.tally.missing_labels)),
        server=plan.key.server,
        name=plan.key.name,
        push_id=push_id,
        project_id=plan.key.project_id,
        organization_slug=plan.key.organization,
    )


def _planned(run: Run, plan: _Plan) -> UploadResult:
    return UploadResult(
        run_id=run.run_id,
        total_records=plan.total,
        uploaded_annotations=sum(c.units for c in plan.fresh) + sum(f.units for f in plan.known),
        skipped=plan.tally.skipped,
        failed=plan.tally.failed,
        task_id=None,
        task_url=None,
        shapes=0,
        negatives=0,
        already_there=sum(f.units for f in plan.known),
        left_alone=plan.tally.left_alone,
        tasks=(),
        items=tuple(plan.tally.items),
        missing_labels=tuple(sorted(plan.tally.missing_labels)),
        server=plan.key.server,
        name=plan.key.name,
        push_id=None,
        project_id=plan.key.project_id,
        organization_slug=plan.key.organization,
        dry_run=True,
    )


def _write_metrics(run: Run, result: UploadResult) -> None:
    content = asdict(result)
    for name in ("run_id", "dry_run"):
        content.pop(name)
    number = int(run.read_metrics(STAGE).get("pass", 0))
    if run.read_metrics(STAGE).get("push_id") != result.push_id:
        number += 1
    run.write_metrics(STAGE, content, number=max(1, number))
    run.mark_done(STAGE, result.push_id or "")
