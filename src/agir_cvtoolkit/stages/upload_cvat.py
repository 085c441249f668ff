"""``upload-cvat``: make CVAT tasks with pre-annotations, and keep their proposals up to date."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.cvat import find_members
from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.ledger import Ledger, PushKey
from agir_cvtoolkit.runs import Run

from ._batch import only_chosen
from ._box_candidates import detection_batch
from ._call import Call
from ._candidates import Batch
from ._connect import Target, connect
from ._imported_boxes import holds_boxes, imported_boxes_batch, with_imported_boxes
from ._mask_candidates import segmentation_batch
from ._places import placed
from ._pose_candidates import check_project, pose_batch, with_source
from ._push import push_tasks, tidy_up
from ._push_alone import hold_push
from ._push_map import write_frame_map
from ._push_plan import labels_of_tasks, plan_push, vanished_tasks
from ._push_result import (
    STAGE,
    SamePicture,
    TaskPushed,
    UploadResult,
    list_left,
    planned_result,
    result_of,
    without_left,
    write_metrics,
)
from ._push_words import Push
from ._replace import end_replacements, replace_proposals
from ._tidy_runs import tidy_runs

__all__ = ["STAGE", "SamePicture", "TaskPushed", "UploadResult", "upload_cvat"]

_log = logging.getLogger(__name__)


def upload_cvat(call: Call | None = None) -> UploadResult:
    """Bring the run's records into CVAT, with their masks, boxes or key points as pre-annotations.

    Called again with the same batch it changes nothing on the server. Records that are new join in a further
    task of the same name; a picture that is there already, whichever record or run brought it, is not sent
    again. Of records that are there with an earlier prediction the proposals are replaced in jobs that nobody
    has touched; in all other jobs everything stays as it is, and the records are listed. Another
    ``cvat_upload.task_name`` makes it another push. A call that was killed is ended by the next one.

    Raises:
        NoRunError: nothing was predicted, or for detections there is no query.
        UsageError: there is nothing to push.
        NotFoundError: the project or organization does not exist.
        RemoteError: the server fails or refuses; a half-made task is removed.
    """
    call = call or Call()
    settings = call.settings()
    return push_run(call, settings, call.open_run(settings))


def push_run(
    call: Call, settings: Settings, run: Run, find: Callable[[Settings, str | None], Target] | None = None
) -> UploadResult:
    """Do what `upload_cvat` does with a run and settings that are there already.

    Args:
        call: how the stage was called; its settings do not count.
        settings: with ``cvat_upload``.
        run: whose records are pushed.
        find: logs in and finds or makes the project, given the settings and the command that is about to write (None
            in a dry run); None takes the configured project.
    """
    settings = with_imported_boxes(with_source(settings, run), run)
    with call.work(run, STAGE):
        collect = _collector(run, settings, dry_run=call.dry_run)
        # Before the pictures are looked at, which may take minutes: the password may be wrong.
        target = (find or _configured)(settings, None if call.dry_run else STAGE)
        if settings.cvat_upload.source.type == "keypoints" and target.labels is not None:
            check_project(run, settings, target.labels)
        batch = collect()
        if not batch.total:
            raise UsageError(
                f"run {run.run_id} has no records to upload",
                "Widen the query, then predict (infer-seg, infer-pose).",
            )
        key = _key(run, settings, target)
        ledger_at = Ledger.open_to_read if call.dry_run else Ledger.open
        with (
            ledger_at(settings.io.ledger_url, settings.io.out_root) as ledger,
            _alone(call, settings, key, ledger),
        ):
            upload = settings.cvat_upload
            members = find_members(target.session, upload.assignees)
            labels = labels_of_tasks(settings, batch)
            push = Push(
                key.push_id, key.name, run.run_id, target, ledger, upload, call.progress, labels, members
            )
            if call.dry_run:
                return _rehearse(run, key, settings, batch, push)
            call.record_config(run, STAGE, settings, settings.dump("cvat_upload", "io"))
            result = _apply(run, key, settings, batch, push)
        write_metrics(run, result)
    return result


def _rehearse(run: Run, key: PushKey, settings: Settings, batch: Batch, push: Push) -> UploadResult:
    gone = vanished_tasks(key, push.target, push.ledger)
    plan = plan_push(key, settings, batch, push.target, push.ledger, gone)
    placed(plan.fresh, push.upload, push.session, run, dry_run=True)
    replaced = replace_proposals(push, plan.changed, dry_run=True)
    list_left(plan, replaced)
    return planned_result(run, plan, replaced)


def _apply(run: Run, key: PushKey, settings: Settings, batch: Batch, push: Push) -> UploadResult:
    ledger = push.ledger
    ledger.open_push(key, run.run_id)
    for task in vanished_tasks(key, push.target, ledger):
        _log.warning("task %s was deleted on the server; its records are pushed anew", task.task_id)
        ledger.forget_task(task)
    tidy_runs(settings.io.out_root, ledger, key)
    ended = end_replacements(push)
    plan = plan_push(key, settings, batch, push.target, ledger, ())
    if ledger.has_open_tasks(key.push_id):
        begun = frozenset(candidate.record_id for candidate in plan.fresh)
        tidy_up(push, placed(plan.fresh, push.upload, push.session, run))
        plan = replace(plan_push(key, settings, batch, push.target, ledger, ()), finished=begun)
    plan = without_left(plan, ended.left)
    fresh = placed(plan.fresh, push.upload, push.session, run)
    # Old tasks first: people who are about to begin wait for better proposals there.
    now = replace_proposals(push, plan.changed)
    now.left |= {record_id: ended.left[record_id] for record_id in now.left.keys() & ended.left.keys()}
    now.replaced |= ended.replaced
    list_left(plan, now)
    push_tasks(push, fresh)
    plan = without_left(plan, push.lost)
    now.left |= push.lost
    result = result_of(run, plan, ledger, key.push_id, now)
    write_frame_map(run, push)
    return result


def _alone(call: Call, settings: Settings, key: PushKey, ledger: Ledger) -> AbstractContextManager[None]:
    if call.dry_run:
        return nullcontext()
    refusal = UsageError(
        f"another upload-cvat is pushing '{key.name}'",
        "Wait until it has ended, or set another cvat_upload.task_name.",
    )
    return hold_push(ledger, Path(settings.io.out_root), key, refusal)


def _configured(settings: Settings, writes: str | None) -> Target:
    return connect(settings, "cvat_upload", settings.cvat_upload.project_id, writes=writes)


def _collector(run: Run, settings: Settings, *, dry_run: bool) -> Callable[[], Batch]:
    if settings.cvat_upload.source.type == "keypoints":
        return pose_batch(run, settings)
    if settings.cvat_upload.source.type == "detections":
        if holds_boxes(run):
            return imported_boxes_batch(run)
        collect = detection_batch(run, settings, dry_run=dry_run)
        return lambda: only_chosen(collect(), run)
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
