"""``quality merge``: one annotation of each picture that several people had."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from agir_cvtoolkit.cvat import GROUND_TRUTH, FrameEntry, FrameMap, JobAnnotations, JobInfo
from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.ledger import Ledger, PushedFrame
from agir_cvtoolkit.quality.agreement import against
from agir_cvtoolkit.quality.annotators import FrameScore
from agir_cvtoolkit.quality.merge import Merged, Tie, by_best, by_majority
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.shapes import Shape

from ._call import Call
from ._correction_figures import NOBODY
from ._lint_scope import find_scope
from ._pull_context import PullContext
from ._pulled import PulledTask, folders, new_folder, write_frame_map
from ._store_job import TaskContext, store_job
from .quality_read import FrameRead, GoldSet, JobReader, Picture, find_gold, is_done

STAGE = "quality-merge"
FIRST_ID = 1_000_000_000
"""Merged work is kept like a task of this number or a higher one: newer than any task of a server."""


@dataclass(frozen=True)
class MergeResult:
    """What was merged.

    Attributes:
        people: whose work it was.
        shapes: that came out.
        task_id: number under which it is kept; None in a dry run.
        folder: where it lies; None in a dry run.
        replaces: what it was made of is not taken any more by itself; not so with pictures that others have uploaded,
            which every task has for itself.
        undecided: pictures, with what half of the people said or why nothing could be chosen.
        items: frames that could not be taken.
    """

    run_id: str
    pictures: int
    people: int
    shapes: int
    task_id: int | None
    folder: Path | None
    replaces: bool
    undecided: tuple[tuple[str, str], ...]
    items: tuple[Item, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0, or 1 where something could not be taken."""
        return 1 if self.items else 0


def quality_merge(
    call: Call | None = None,
    *,
    project_id: int | None = None,
    task_ids: Sequence[int] = (),
    by: str = "majority",
    tie: Tie = "drop",
    gold_task: int | None = None,
    gold_run: str | None = None,
) -> MergeResult:
    """Merge the completed jobs of tasks with the same pictures, and of replicas, into the run.

    The result lies in ``cvat_downloads/`` as if it were the newest task, so that ``preprocess``, ``train`` and
    ``export`` take its pictures from it; what was pulled stays. Merging again makes another one.

    Args:
        call: options of every command; with ``dry_run`` nothing is written.
        project_id: all jobs of this project.
        task_ids: the jobs of these tasks.
        by: ``majority`` or ``best``.
        tie: what becomes of what half of the people drew.
        gold_task, gold_run: what is right, for ``best``; ground-truth jobs of the tasks count anyway.

    Raises:
        UsageError: no picture was done by several people.
        NoRunError: there is no run to write into.
        RemoteError: of its kinds.
    """
    call = call or Call()
    settings = call.settings()
    run = call.open_run(settings)
    named = call if project_id is None and not task_ids else replace(call, run=None)
    scope = find_scope(named, settings, project_id, task_ids, writes=None)
    opened = Ledger.open_to_read if call.dry_run else Ledger.open
    with call.work(run, STAGE), opened(settings.io.ledger_url, Path(settings.io.out_root)) as ledger:
        reader = JobReader(scope.session, ledger)
        gold = find_gold(reader, scope.jobs, settings, gold_task, gold_run)
        work = [
            j for j in scope.jobs if j.kind != GROUND_TRUTH and is_done(j) and j.task_id not in gold.tasks
        ]
        reads = _several(reader, work)
        if not reads:
            raise UsageError(
                "no picture was completed by several people",
                "Name the tasks with the same pictures: --task-id 12 --task-id 13; replicas have to be completed too.",
            )
        merged, undecided = _merged(reads, by, tie, _scores(reader, work, gold) if by == "best" else {})
        people = {_who(read) for listed in reads.values() for read in listed}
        shapes = sum(len(one.shapes) for one in merged.values())
        number, folder, replaces = None, None, True
        items: list[Item] = []
        if merged and not call.dry_run:
            context = PullContext(run, settings, scope.session, ledger, reader.labels)
            number, folder, replaces, items = _store(context, reads, merged)
        return MergeResult(
            run.run_id,
            len(merged),
            len(people),
            shapes,
            number,
            folder,
            replaces,
            tuple(undecided),
            tuple(items),
            gold.notes,
        )


def _several(reader: JobReader, work: Sequence[JobInfo]) -> dict[Picture, list[FrameRead]]:
    repeated = reader.repeated(work)
    found: dict[Picture, list[FrameRead]] = {}
    for job in work:
        for read in reader.read(job):
            if read.picture in repeated and read.real is None:
                found.setdefault(read.picture, []).append(read)
    # Of one person's several rounds the newest task counts.
    for picture, reads in found.items():
        newest: dict[tuple[str, int], FrameRead] = {}
        for read in sorted(reads, key=lambda one: (one.job.task_id, one.job.id)):
            newest[_who(read)] = read
        found[picture] = list(newest.values())
    return {picture: reads for picture, reads in found.items() if len(reads) > 1}


def _who(read: FrameRead) -> tuple[str, int]:
    """Tell people apart; of jobs without assignee each is somebody else's."""
    return read.annotator, read.job.id if read.annotator == NOBODY else 0


def _scores(reader: JobReader, work: Sequence[JobInfo], gold: GoldSet) -> dict[str, float]:
    scores: dict[str, list[float]] = {}
    for job in work:
        for read in reader.read(job):
            truth = gold.of(read)
            if truth is not None and read.annotator != NOBODY:
                classes = against(read.shapes, truth, read.size)
                one = FrameScore(read.annotator, (job.task_id, read.frame), read.at, classes)
                scores.setdefault(read.annotator, []).append(one.score)
    return {name: sum(values) / len(values) for name, values in scores.items()}


def _merged(
    reads: dict[Picture, list[FrameRead]], by: str, tie: Tie, scores: dict[str, float]
) -> tuple[dict[Picture, Merged], list[tuple[str, str]]]:
    merged: dict[Picture, Merged] = {}
    undecided: list[tuple[str, str]] = []
    for picture, listed in sorted(reads.items()):
        if by == "majority":
            merged[picture] = by_majority([read.shapes for read in listed], picture[1:], tie)
            undecided += [(picture[0], text) for text in merged[picture].undecided]
            continue
        best = by_best({read.annotator: read.shapes for read in listed}, scores)
        if best is None:
            undecided.append((picture[0], "left out: nobody who drew it has the best gold score"))
        else:
            merged[picture] = best
    return merged, undecided


def _store(
    context: PullContext,
    reads: dict[Picture, list[FrameRead]],
    merged: dict[Picture, Merged],
) -> tuple[int, Path, bool, list[Item]]:
    number = max([FIRST_ID, *folders(context.run)]) + 1
    sources = {picture: max(reads[picture], key=lambda read: read.job.task_id) for picture in merged}
    name = f"merged_{'_'.join(map(str, sorted({r.job.task_id for rs in reads.values() for r in rs})))}"
    folder = new_folder(context.run, number, name)
    entries = tuple(FrameEntry(i, *picture) for i, picture in enumerate(sources))
    shapes: dict[int, tuple[Shape, ...]] = {i: merged[picture].shapes for i, picture in enumerate(sources)}
    newest = max((read.job for read in sources.values()), key=lambda job: job.updated_date)
    job = replace(
        newest, id=number, task_id=number, start_frame=0, stop_frame=len(entries) - 1, type="annotation"
    )
    task = TaskContext(context, folder, FrameMap(number, entries), _pushed(context, sources))
    frames, items = store_job(
        task,
        job,
        JobAnnotations(number, {n: found for n, found in shapes.items() if found}),
        range(len(entries)),
    )
    for index, read in enumerate(sources.values()):
        _keep_picture(context, folder, read, task.record_ids[index])
    url = context.session.task_url(newest.task_id)
    write_frame_map(PulledTask(number, name, url, folder, tuple(frames[n] for n in sorted(frames))))
    return number, folder, all(frame.sha256 is not None for frame in frames.values()), items


def _pushed(context: PullContext, sources: dict[Picture, FrameRead]) -> dict[str, PushedFrame]:
    """Return the frames that this tool sent, by name: of them record and checksum are known."""
    found: dict[str, PushedFrame] = {}
    server = context.session.url
    for task_id in {read.job.task_id for read in sources.values()}:
        task = context.ledger.task_by_id(server, task_id)
        if task is not None:
            found |= {frame.file_name: frame for frame in context.ledger.frames_of_task(task)}
    return found


def _keep_picture(context: PullContext, folder: Path, read: FrameRead, record_id: str) -> None:
    """Link the picture of a foreign task into the merged folder, where a pull has fetched it."""
    source = folders(context.run).get(read.job.task_id)
    if source is None:
        return
    found = context.originals.find(record_id, None, source)
    if found is not None:
        target = folder / "images" / found.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            target.hardlink_to(found)
