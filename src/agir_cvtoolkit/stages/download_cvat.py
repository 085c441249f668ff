"""``download-cvat``: bring finished work back."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.cvat import (
    CvatSession,
    FrameMap,
    JobAnnotations,
    JobInfo,
    LabelSet,
    download_originals,
    find_jobs,
    get_task,
    normal_name,
    read_frame_map,
    read_job,
    read_job_by_export,
    read_labels,
)
from agir_cvtoolkit.errors import MaskError, NoRunError, NotFoundError, UsageError
from agir_cvtoolkit.ledger import Ledger, Pull, PushedFrame
from agir_cvtoolkit.records import Item, ManifestEntry, file_stem
from agir_cvtoolkit.runs import Run

from ._call import Call
from ._classes import extend_classes, ids_by_label
from ._connect import connect
from ._originals import find_original
from ._pull_identity import pull_identity
from ._pulled import (
    FRAME_MAP,
    PulledFrame,
    PulledTask,
    folder_of,
    read_frame_map_file,
    write_frame_map,
    write_mask,
    write_shapes,
)

STAGE = "download-cvat"
EXPORT_FROM_PIXELS = 12_000_000
"""Mean size of a job's pictures from which it is read by the "CVAT for images 1.1" export."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaskDownloaded:
    """One task as it was brought back.

    Attributes:
        jobs: finished ones.
        jobs_read: of them, those that had changed since the last call.
        negatives: frames on which the person left no shape.
    """

    task_id: int
    name: str
    url: str
    directory: str
    jobs: int
    jobs_read: int
    frames: int
    shapes: int
    negatives: int
    success: bool = True


@dataclass(frozen=True)
class DownloadResult:
    """What ``download-cvat`` did, or in a dry run would do.

    Attributes:
        tasks_found: tasks with at least one job that has come far enough.
        waiting: jobs of the asked tasks that have not.
        items: frames and shapes that could not be taken.
    """

    run_id: str
    tasks_found: int
    tasks_downloaded: int
    jobs: int
    jobs_read: int
    waiting: int
    frames: int
    shapes: int
    tasks: tuple[TaskDownloaded, ...]
    items: tuple[Item, ...]
    required_status: str | None
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """0, or 1 where something could not be taken."""
        return 1 if self.items else 0


def download_cvat(call: Call | None = None) -> DownloadResult:
    """Read finished jobs and decode their masks into ``cvat_downloads/`` of the run.

    Without ids the tasks that the run pushed are taken. A job that has not changed since it was read is left
    alone.

    Raises:
        UsageError: neither ids nor pushed tasks.
        NotFoundError: a project or task does not exist.
        RemoteError: the server fails; what was stored until then is kept and not read again.
    """
    call = call or Call()
    settings = call.settings()
    run = call.open_run(settings)
    download = settings.cvat_download
    with call.work(run, STAGE):
        target = connect(settings, "cvat_download", download.project_id)
        session = target.session
        with Ledger.open(settings.io.ledger_url, settings.io.out_root) as ledger:
            task_ids = _asked_tasks(run, settings, ledger, session)
            project_id = download.project_id if task_ids is None else None
            all_jobs = find_jobs(session, project_id=project_id, task_ids=task_ids, required_status=None)
            status = download.required_status
            jobs = (
                find_jobs(session, project_id=project_id, task_ids=task_ids, required_status=status)
                if status is not None
                else all_jobs
            )
            by_task: dict[int, list[JobInfo]] = defaultdict(list)
            for job in jobs:
                by_task[job.task_id].append(job)
            waiting = len(all_jobs) - len(jobs)
            if call.dry_run:
                return _result(run, settings, [], [], waiting, planned=by_task)
            call.record_config(run, STAGE, settings, settings.dump("cvat_download", "io"))
            tasks, items = [], []
            with call.progress.bar("Reading jobs", len(jobs)) as bar:
                for task_id, own in by_task.items():
                    pulled, found = _pull_task(run, settings, session, ledger, task_id, own)
                    tasks.append(pulled)
                    items.extend(found)
                    bar.advance(len(own))
        result = _result(run, settings, tasks, items, waiting)
        _write_metrics(run, result)
    return result


def _asked_tasks(run: Run, settings: Settings, ledger: Ledger, session: CvatSession) -> list[int] | None:
    download = settings.cvat_download
    if download.task_ids is not None:
        for task_id in download.task_ids:
            get_task(session, task_id)
        return list(download.task_ids)
    if download.project_id is not None:
        return None
    pushed = [
        task.task_id for task in ledger.tasks_of_run(run.run_id, session.url) if task.task_id is not None
    ]
    if not pushed:
        raise UsageError(
            f"run {run.run_id} has pushed no task to {session.url}",
            "Push first: agir-cvtoolkit upload-cvat - or name the work: -o cvat_download.project_id=12345",
        )
    there = []
    for task_id in pushed:
        try:
            get_task(session, task_id)
        except NotFoundError:
            _log.warning("task %d was deleted on the server", task_id)
            continue
        there.append(task_id)
    if not there:
        raise NotFoundError(
            f"all tasks that run {run.run_id} pushed were deleted on {session.url}",
            "Push again under another cvat_upload.task_name.",
        )
    return there


def _pull_task(
    run: Run, settings: Settings, session: CvatSession, ledger: Ledger, task_id: int, jobs: Sequence[JobInfo]
) -> tuple[TaskDownloaded, list[Item]]:
    task = get_task(session, task_id)
    folder = folder_of(run, task_id, task.name)
    old = read_frame_map_file(folder / FRAME_MAP) if (folder / FRAME_MAP).is_file() else None
    kept = {frame.frame: frame for frame in old.frames} if old else {}
    frame_map = read_frame_map(session, task_id)
    pushed = _pushed_frames(ledger, session, task_id)
    named = _named_values(run, settings)
    labels = read_labels(session, task_id=task_id)
    items: list[Item] = []
    frames: dict[int, PulledFrame] = {}
    read = 0
    for job in sorted(jobs, key=lambda j: j.updated_date):
        last = ledger.last_pull(session.url, run.run_id, job.id)
        stored = {f: frame for f, frame in kept.items() if frame.job_id == job.id}
        unchanged = last is not None and last.updated_date == job.updated_date and last.stage == job.stage
        whole = all(frame.mask is None or (folder / frame.mask).is_file() for frame in stored.values())
        if unchanged and stored and whole and not settings.cvat_download.overwrite_existing:
            frames |= stored
            continue
        annotations = _read(session, job, labels, frame_map)
        read += 1
        own = _store_job(run, folder, job, annotations, frame_map, pushed, named, items)
        frames |= own
        pull = Pull(
            server=session.url,
            run_id=run.run_id,
            task_id=task_id,
            job_id=job.id,
            updated_date=job.updated_date,
            state=job.state,
            stage=job.stage,
            frames=len(own),
            shapes=sum(frame.shapes for frame in own.values()),
            stored=str(folder.relative_to(run.root)),
        )
        result = PulledTask(task_id, task.name, session.task_url(task_id), folder, _in_order(kept | frames))
        # First the frame map, then the ledger: killed in between, the job is read again.
        write_frame_map(result)
        ledger.record_pull(pull, {frame.record_id: frame.shapes for frame in own.values()})
    result = PulledTask(task_id, task.name, session.task_url(task_id), folder, _in_order(frames))
    write_frame_map(result)
    items += _fetch_originals(run, settings, session, result)
    return _summary(result, len(jobs), read, run), items


def _read(session: CvatSession, job: JobInfo, labels: LabelSet, frame_map: FrameMap) -> JobAnnotations:
    """Read a job; large masks come faster by the export, which carries the same bits."""
    pixels = [e.width * e.height for e in frame_map.entries if e.frame in job.frames]
    if pixels and sum(pixels) / len(pixels) >= EXPORT_FROM_PIXELS:
        return read_job_by_export(session, job, frame_map)
    return read_job(session, job.id, labels)


def _in_order(frames: Mapping[int, PulledFrame]) -> tuple[PulledFrame, ...]:
    return tuple(frames[number] for number in sorted(frames))


def _pushed_frames(ledger: Ledger, session: CvatSession, task_id: int) -> dict[str, PushedFrame]:
    task = ledger.task_by_id(session.url, task_id)
    return {frame.file_name: frame for frame in ledger.frames_of_task(task)} if task else {}


def _store_job(
    run: Run,
    folder: Path,
    job: JobInfo,
    annotations: JobAnnotations,
    frame_map: FrameMap,
    pushed: Mapping[str, PushedFrame],
    named: Mapping[str, int],
    items: list[Item],
) -> dict[int, PulledFrame]:
    record_ids = _record_ids(frame_map, pushed)
    for skipped in annotations.skipped:
        name = record_ids.get(skipped.frame, f"frame {skipped.frame}")
        items.append(
            Item(
                name, "skipped", f"{skipped.kind} on frame {skipped.frame} of job {job.id}: {skipped.reason}"
            )
        )
    write_shapes(folder, job.id, annotations.shapes)
    class_ids = extend_classes(
        run, _area_labels(annotations), _known_ids(run, annotations, record_ids, named)
    )
    frames: dict[int, PulledFrame] = {}
    for entry in frame_map.entries:
        if entry.frame not in job.frames or entry.frame in frame_map.deleted_frames:
            continue
        shapes = annotations.shapes.get(entry.frame, ())
        record_id = record_ids[entry.frame]
        sent = pushed.get(entry.name)
        try:
            mask = write_mask(folder, file_stem(record_id), shapes, (entry.width, entry.height), class_ids)
        except MaskError as error:
            items.append(Item(record_id, "failed", f"frame {entry.frame} of job {job.id}: {error}"))
            continue
        frames[entry.frame] = PulledFrame(
            frame=entry.frame,
            record_id=record_id,
            file_name=entry.name,
            width=entry.width,
            height=entry.height,
            sha256=sent.sha256 if sent else None,
            job_id=job.id,
            shapes=len(shapes),
            mask=mask,
        )
    return frames


def _record_ids(frame_map: FrameMap, pushed: Mapping[str, PushedFrame]) -> dict[int, str]:
    """Return the record of each frame; in a task of others the file's name, as short as it is unique."""
    stems = Counter(PurePosixPath(entry.name).stem for entry in frame_map.entries)
    found = {}
    for entry in frame_map.entries:
        stem = PurePosixPath(entry.name).stem
        own = stem if stems[stem] == 1 else entry.name
        found[entry.frame] = pushed[entry.name].record_id if entry.name in pushed else own
    return found


def _area_labels(annotations: JobAnnotations) -> set[str]:
    return {
        s.label for shapes in annotations.shapes.values() for s in shapes if s.kind in {"mask", "polygon"}
    }


def _known_ids(
    run: Run, annotations: JobAnnotations, record_ids: Mapping[int, str], named: Mapping[str, int]
) -> dict[str, set[int]]:
    entries: dict[str, ManifestEntry] = {}
    with suppress(NoRunError):
        entries = {entry.record_id: entry for entry in run.read_manifest()}

    def pairs() -> Iterable[tuple[str, int]]:
        for frame, shapes in annotations.shapes.items():
            entry = entries.get(record_ids.get(frame, ""))
            labels = {shape.label for shape in shapes}
            for label in labels:
                if normal_name(label) in named:
                    yield label, named[normal_name(label)]
                elif entry is not None and len(labels) == 1:
                    yield label, entry.class_id

    return ids_by_label(pairs())


def _named_values(run: Run, settings: Settings) -> dict[str, int]:
    """Return the mask values that the label map names, else the model that predicted."""
    configured = settings.cvat_upload.label_map.get("_class")
    names = configured if isinstance(configured, dict) else run.read_metrics("infer-seg").get("classes", {})
    return {normal_name(str(name)): int(value) for value, name in names.items()}


def _fetch_originals(run: Run, settings: Settings, session: CvatSession, task: PulledTask) -> list[Item]:
    """Fetch the pictures that are nowhere in the run, byte for byte."""
    always = settings.cvat_download.include_images
    wanted = []
    for frame in task.frames:
        path = task.folder / "images" / frame.picture_name
        if not path.is_file() and (
            always or find_original(run, frame.record_id, frame.sha256, task.folder) is None
        ):
            wanted.append((frame.frame, path))
    failed = download_originals(session, task.task_id, wanted)
    names = {frame.frame: frame.record_id for frame in task.frames}
    return [
        Item(names[frame], "failed", f"its picture could not be fetched: {error}")
        for frame, error in failed.items()
    ]


def _summary(task: PulledTask, jobs: int, read: int, run: Run) -> TaskDownloaded:
    return TaskDownloaded(
        task_id=task.task_id,
        name=task.name,
        url=task.url,
        directory=str(task.folder.relative_to(run.root)),
        jobs=jobs,
        jobs_read=read,
        frames=len(task.frames),
        shapes=sum(frame.shapes for frame in task.frames),
        negatives=sum(1 for frame in task.frames if not frame.shapes),
    )


def _result(
    run: Run,
    settings: Settings,
    tasks: Sequence[TaskDownloaded],
    items: Sequence[Item],
    waiting: int,
    planned: Mapping[int, Sequence[JobInfo]] | None = None,
) -> DownloadResult:
    found = len(planned) if planned is not None else len(tasks)
    return DownloadResult(
        run_id=run.run_id,
        tasks_found=found,
        tasks_downloaded=len(tasks),
        jobs=sum(len(jobs) for jobs in planned.values())
        if planned is not None
        else sum(t.jobs for t in tasks),
        jobs_read=sum(task.jobs_read for task in tasks),
        waiting=waiting,
        frames=sum(task.frames for task in tasks),
        shapes=sum(task.shapes for task in tasks),
        tasks=tuple(tasks),
        items=tuple(items),
        required_status=settings.cvat_download.required_status,
        dry_run=planned is not None,
    )


def _write_metrics(run: Run, result: DownloadResult) -> None:
    content = asdict(result)
    content["total_tasks_found"] = result.tasks_found
    content["task_details"] = content["tasks"]
    for name in ("run_id", "dry_run"):
        content.pop(name)
    if not result.tasks:
        run.write_metrics(STAGE, content, number=int(run.read_metrics(STAGE).get("pass", 1)))
        return
    stage_pass = run.begin(STAGE, pull_identity(run, [task.directory for task in result.tasks]), ())
    run.write_metrics(STAGE, content, number=stage_pass.number)
    run.finish(stage_pass)
