"""``status``: where everything stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.ledger import Ledger, ModelRow, upload_again
from agir_cvtoolkit.runs import CURRENT, Run, list_runs, open_run

from ._call import Call
from ._correction_line import corrections_line
from ._loop_plan import next_words
from ._transfer_journal import STAGE as TRANSFER
from ._transfer_journal import is_transfer
from .effort import Effort, effort

_AFTER_PREDICTION = ("upload-cvat", "download-cvat", "preprocess", "train")
PREDICTIONS = ("infer-seg", "infer-pose", "import")
STAGES = ("query", TRANSFER, *PREDICTIONS, "upload-cvat", "download-cvat", "preprocess", "train")
_OF_A_TRANSFER = (TRANSFER, "upload-cvat", "download-cvat")


@dataclass(frozen=True)
class StageStatus:
    """One stage of the shown run, with its newest figures.

    Attributes:
        state: ``done``, ``earlier`` (before the newest prediction), ``started`` or ``-``.
    """

    stage: str
    state: str
    figures: dict[str, object]


@dataclass(frozen=True)
class TaskStatus:
    """One task that was pushed, and how many of its jobs came back."""

    task_id: int | None
    name: str
    url: str | None
    state: str
    run_id: str
    records: int
    pulled_jobs: int


@dataclass(frozen=True)
class LoopStatus:
    """Where a loop stands.

    Attributes:
        round: that is under way or was last; 0 where none was.
        state: of it; empty where there is none.
        words: what comes next, or why the loop is at its end.
        pool: run or folder that its pictures come from; empty with captures.
        passed_over: captures that it looked at and did not choose so far.
    """

    name: str
    round: int
    state: str
    words: str
    pool: str = ""
    passed_over: int = 0


@dataclass(frozen=True)
class Status:
    """The workspace: its runs, the shown run's stages, all tasks, all models, and the next command.

    Attributes:
        chosen: what was chosen of the shown run, in words; empty where nothing was.
        effort: people's work in all; None while nothing came back.
        loops: the oldest first.
    """

    out_root: Path
    runs: tuple[str, ...]
    run_id: str | None
    stages: tuple[StageStatus, ...]
    tasks: tuple[TaskStatus, ...]
    models: tuple[ModelRow, ...]
    next_step: str
    chosen: str = ""
    effort: Effort | None = None
    loops: tuple[LoopStatus, ...] = ()


_FIGURES = {
    "query": ("count",),
    "infer-seg": ("total_records", "processed", "skipped", "failed", "model", "mean_uncertainty"),
    "infer-pose": ("total_records", "processed", "skipped", "failed", "model", "mean_confidence"),
    "import": ("total_records", "processed", "model"),
    TRANSFER: ("transferred", "failed", "returned"),
    "upload-cvat": ("total_records", "uploaded_annotations", "skipped", "failed", "task_url"),
    "download-cvat": ("tasks_downloaded", "frames", "shapes"),
    "preprocess": ("pairs", "train_samples", "val_samples", "test_samples", "warning"),
    "train": ("epochs_completed", "best_val_iou", "best_val_dice", "warning"),
}
_COMMANDS = {
    "query": 'agir-cvtoolkit query --db semif --filters "state=NC" --limit 100',
    "infer-seg": "agir-cvtoolkit infer-seg",
    "infer-pose": "agir-cvtoolkit infer-pose",
    "import": "agir-cvtoolkit import",
    "upload-cvat": "agir-cvtoolkit upload-cvat",
    "download-cvat": "Refine in CVAT and complete the jobs, then: agir-cvtoolkit download-cvat",
    "preprocess": "agir-cvtoolkit train",
    "train": "agir-cvtoolkit train",
}


def status(call: Call | None = None) -> Status:
    """Read where the runs, the pushes and the models stand; nothing is changed and no server is asked."""
    call = call or Call()
    settings = call.settings()
    out_root = settings.io.out_root
    known = list_runs(out_root)
    current = (out_root / CURRENT).is_dir()
    run = open_run(out_root, call.run) if call.run or current else None
    stages = [stage_status(run, stage) for stage in stages_of(run)] if run is not None else []
    loops = _loops(settings)
    # The current run of somebody who has begun a loop is often its pool, of which nothing follows by hand.
    if run is None or (call.run is None and run.run_id in {one.pool for one in loops}):
        next_step = _next_of_loops(loops)
    else:
        next_step = _next_step(run, out_root)
    tasks, models, again = _ledger_part(settings, run, named=call.run is not None)
    run_id = run.run_id if run else None
    work = effort(call)
    return Status(
        out_root,
        tuple(known),
        run_id,
        tuple(stages),
        tasks,
        models,
        again or next_step,
        _chosen(settings, run_id),
        work if work.pictures_by_run else None,
        loops,
    )


def _loops(settings: Settings) -> tuple[LoopStatus, ...]:
    found = []
    with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
        rows = ledger.loops()
        of_captures = any(row.plan.get("source") == "captures" for row in rows)
        passed = Counter(one.get("loop") for one in ledger.looked_at().values()) if of_captures else Counter()
        for row in rows:
            newest = next(iter(reversed(ledger.rounds(row.name))), None)
            number, state = (newest.number, newest.state) if newest is not None else (0, "")
            reason = newest.figures.get("reason", "") if newest is not None and state == "failed" else ""
            comes = next_words(newest.stands) if newest is not None else "a batch is chosen next"
            found.append(
                LoopStatus(
                    row.name,
                    number,
                    state,
                    row.ended or reason or comes,
                    str(row.plan.get("pool", "")),
                    passed[row.name],
                )
            )
    return tuple(found)


def _chosen(settings: Settings, run_id: str | None) -> str:
    if run_id is None:
        return ""
    with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
        rows = ledger.selections(run_id)
    if not rows:
        return ""
    newest = [row for row in rows if row.batch == rows[-1].batch]
    control = sum(row.control for row in newest)
    return (
        f"batch {newest[0].batch}: {len(newest)} chosen by {newest[0].strategy}, {control} of them by chance"
    )


def stages_of(run: Run) -> tuple[str, ...]:
    """Return the stages of a run in order: it holds masks, poses or boxes; a transfer's run none of them."""
    if is_transfer(run):
        return _OF_A_TRANSFER
    kind = next((stage for stage in reversed(PREDICTIONS) if run.has_begun(stage)), "infer-seg")
    return tuple(stage for stage in STAGES if stage not in (TRANSFER, *PREDICTIONS) or stage == kind)


def stage_status(run: Run, stage: str) -> StageStatus:
    """Return where a stage of a run stands, with its newest figures."""
    metrics = run.read_metrics(stage)
    finished, predicted = (
        run.finished_at(stage),
        next((at for name in PREDICTIONS if (at := run.finished_at(name))), None),
    )
    if finished is None:
        begun = is_transfer(run) if stage == TRANSFER else run.has_begun(stage)
        state = "started" if begun else "-"
    elif stage in _AFTER_PREDICTION and predicted is not None and finished < predicted:
        state = "earlier"
    else:
        state = "done"
    figures = {key: metrics[key] for key in _FIGURES[stage] if metrics.get(key, "") != ""}
    if stage == "download-cvat" and isinstance(metrics.get("corrections"), dict):
        figures["corrections"] = corrections_line(metrics["corrections"])
    return StageStatus(stage, state, figures)


def _next_step(run: Run, out_root: Path) -> str:
    """Return the command that follows the stage which was completed last."""
    if is_transfer(run):
        return _next_of_a_transfer(run)
    stages = stages_of(run)
    finished = [(run.finished_at(stage) or "", number) for number, stage in enumerate(stages)]
    newest, number = max(finished)
    if not newest:
        return _COMMANDS["query"]
    last = stages[number]
    if last == "train":
        return f"agir-cvtoolkit infer-seg -o seg_inference.model.ckpt_path={out_root / run.run_id}/model/best.pth"
    if last == "download-cvat" and "infer-pose" in stages:
        return f"Learn from the corrected poses in {run.path('cvat_downloads')}"
    following = stages[number + 1]
    return _COMMANDS[following]


def _next_of_loops(loops: Sequence[LoopStatus]) -> str:
    """Return what follows where there is no current run, because loops have runs of their own, or only a pool."""
    if not loops:
        return f"{_COMMANDS['query']}, or with a folder of pictures: agir-cvtoolkit infer-seg pictures/"
    newest = loops[-1]
    if newest.state == "in_annotation":
        return f"Correct in CVAT and complete the jobs; where the loop does not run: agir-cvtoolkit loop {newest.name}"
    if newest.state in {"promoted", "rejected"}:
        return f"agir-cvtoolkit report --loop {newest.name}"
    return f"agir-cvtoolkit loop {newest.name}"


def _next_of_a_transfer(run: Run) -> str:
    manifest = run.manifest_path
    given_back = manifest.is_file() and not manifest.stat().st_size  # all of it, by undo
    if run.finished_at(TRANSFER) is None or given_back:
        return "agir-cvtoolkit firebase transfer"
    if run.finished_at("upload-cvat") is None:
        return _COMMANDS["upload-cvat"]
    return "Correct the poses in CVAT and complete the jobs, then: agir-cvtoolkit firebase return --trigger-retraining"


def _outdated_push(run: Run) -> str | None:
    """Return the push of the run whose proposals its newest prediction replaces, where that is what comes next."""
    finished = {stage: run.finished_at(stage) or "" for stage in STAGES}
    newest = max(finished[stage] for stage in PREDICTIONS)
    if not finished["upload-cvat"] or newest != max(finished.values()) or newest == finished["upload-cvat"]:
        return None
    push_id = run.read_metrics("upload-cvat").get("push_id")
    return str(push_id) if push_id else None


def _ledger_part(
    settings: Settings, run: Run | None, *, named: bool
) -> tuple[tuple[TaskStatus, ...], tuple[ModelRow, ...], str]:
    """Return the tasks, the models, and the upload of the run that is to be made again, if there is one."""
    tasks, interrupted, outdated = [], "", ""
    upload, run_id = settings.cvat_upload, run.run_id if run is not None else None
    last = _outdated_push(run) if run is not None else None
    with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
        for push_id, key, _ in ledger.pushes():
            own = [task for task in ledger.tasks_of_push(push_id) if task.run_id == run_id]
            if any(task.state != "done" for task in own):
                interrupted = upload_again(key, run_id if named else None, project_id=upload.project_id)
            if push_id == last:
                by_itself = upload.task_name or str(run_id).replace("/", "_")
                outdated = upload_again(
                    key, run_id if named else None, project_id=upload.project_id, name=by_itself
                )
            for task in ledger.tasks_of_push(push_id):
                pulls = ledger.pulls_of_task(key.server, task.task_id) if task.task_id else []
                tasks.append(
                    TaskStatus(
                        task.task_id,
                        task.name,
                        task.url,
                        task.state,
                        task.run_id,
                        len(ledger.frames_of_task(task)),
                        len({pull.job_id for pull in pulls}),
                    )
                )
        return tuple(tasks), tuple(ledger.models()), interrupted or outdated
