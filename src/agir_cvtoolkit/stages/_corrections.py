"""What people did with the proposals of a job, as rows for the ledger."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from agir_cvtoolkit.corrections import Match, accepted, match, match_hashes
from agir_cvtoolkit.cvat import JobAnnotations, JobInfo, LabelSet, LabelSpec
from agir_cvtoolkit.errors import ShapeError
from agir_cvtoolkit.ledger import CorrectionRow, Ledger, PushedShape, PushedTask
from agir_cvtoolkit.plain_shapes import unpack
from agir_cvtoolkit.shapes import Shape

from ._correction_figures import EMPTY
from ._marks import changed_marks
from ._pulled import PulledFrame

_log = logging.getLogger(__name__)


def correct_job(
    ledger: Ledger,
    server: str,
    run_id: str,
    task: PushedTask | None,
    job: JobInfo,
    annotations: JobAnnotations,
    frames: Mapping[int, PulledFrame],
    labels: LabelSet | None = None,
) -> tuple[CorrectionRow, ...]:
    """Match a job that was read with what was pushed into it, and record what became of it.

    Call it before the reading is recorded: killed in between, the job is read and matched again.

    Args:
        ledger: knows what was pushed.
        server: where the job is.
        run_id: the run that reads it.
        task: as it was pushed; a task of others (None) has no corrections.
        job: as it was read.
        annotations: what it holds.
        frames: the stored frames of the job, by number.
        labels: of the task; without them attributes are not compared.

    Raises:
        LedgerError: the ledger cannot be used.
    """
    if task is None:
        return ()
    pushed = ledger.shapes_left(task, job.start_frame, job.stop_frame)
    rows = rows_of_job(server, run_id, job, annotations, frames, pushed, labels)
    ledger.record_corrections(server, run_id, job.id, rows)
    return rows


def rows_of_job(
    server: str,
    run_id: str,
    job: JobInfo,
    annotations: JobAnnotations,
    frames: Mapping[int, PulledFrame],
    pushed: Mapping[int, Sequence[PushedShape]],
    labels: LabelSet | None = None,
) -> tuple[CorrectionRow, ...]:
    """Match what came back with what was pushed.

    Args:
        server: where the job is.
        run_id: the run that reads it.
        job: as it was read; its assignee is the annotator.
        annotations: what it holds.
        frames: the stored frames of the job, by number.
        pushed: what the push left on each frame, by number; a frame on which it left nothing has an empty
            list, a frame that is not listed was not pushed and gives no rows.
        labels: of the task; without them attributes are not compared.

    Returns:
        A row for each proposal and each added shape, by frame, and one for a frame without either.
    """
    rows: list[CorrectionRow] = []
    by_name = {label.name: label for label in labels or ()}
    for number in sorted(frames.keys() & pushed.keys()):
        frame = frames[number]
        before, after = pushed[number], annotations.shapes.get(number, ())
        matches = _matches(before, after, (frame.width, frame.height))
        judged = (_judged(one, before, after, by_name) for one in matches)
        rows += (
            CorrectionRow(
                server=server,
                run_id=run_id,
                task_id=job.task_id,
                job_id=job.id,
                frame=number,
                record_id=frame.record_id,
                outcome=outcome,
                label=after[found.after].label if found.after is not None else _pushed(before, found).label,
                label_before=before[found.before].label if found.before is not None else None,
                kind=after[found.after].kind if found.after is not None else _pushed(before, found).kind,
                iou=found.iou,
                boundary_px=found.boundary_px,
                moved_points=found.moved_points,
                moved_px=found.moved_px,
                changed_points=found.changed_points,
                annotator=job.assignee,
                updated_date=job.updated_date,
                changed=changed,
            )
            for found, outcome, changed in judged
        )
        if not before and not after:
            rows.append(_empty(server, run_id, job, frame))
    return tuple(rows)


def _judged(
    found: Match, before: Sequence[PushedShape], after: Sequence[Shape], labels: Mapping[str, LabelSpec]
) -> tuple[Match, str, str | None]:
    """Say what became of a shape, by its flags and attributes too, and what was changed in it."""
    if found.before is None or found.after is None:
        return found, found.outcome, None
    pushed, now = before[found.before], after[found.after]
    same = now if pushed.geometry_hash == now.geometry_hash() else None
    known = _unpacked([pushed], same)
    if not known:
        return found, found.outcome, None
    marks = changed_marks(known[0], now, labels.get(now.label))
    outcome = "edited" if found.outcome == "accepted" and marks else found.outcome
    changed = ["label"] if outcome == "relabelled" else []
    drawn = (replace(shape, label="").geometry_hash() for shape in (known[0], now))
    if found.outcome == "edited" or (outcome == "relabelled" and len(set(drawn)) > 1):
        changed.append("geometry")
    return found, outcome, " ".join((*changed, *marks)) or None


def _matches(before: Sequence[PushedShape], after: Sequence[Shape], size: tuple[int, int]) -> list[Match]:
    """Match one frame; what has the hash that was pushed is not even unpacked."""
    waiting: dict[str, list[int]] = {}
    for j, shape in enumerate(after):
        waiting.setdefault(shape.geometry_hash(), []).append(j)
    same: dict[int, int] = {}
    for i, pushed in enumerate(before):
        if waiting.get(pushed.geometry_hash):
            same[i] = waiting[pushed.geometry_hash].pop(0)
    kept = set(same.values())
    lost = [i for i in range(len(before)) if i not in same]
    new = [j for j in range(len(after)) if j not in kept]
    found = [accepted(i, j, before[i].kind) for i, j in same.items()]
    for one in _changed([before[i] for i in lost], [after[j] for j in new], size):
        place = None if one.before is None else lost[one.before]
        partner = None if one.after is None else new[one.after]
        found.append(replace(one, before=place, after=partner))
    last = len(before)
    return sorted(found, key=lambda one: (last if one.before is None else one.before, one.after or 0))


def _changed(
    before: Sequence[PushedShape], after: Sequence[Shape], size: tuple[int, int]
) -> tuple[Match, ...]:
    known = _unpacked(before)
    if known is None:
        return match_hashes(
            [shape.geometry_hash for shape in before], [shape.geometry_hash() for shape in after]
        )
    return match(known, after, size)


def _unpacked(before: Sequence[PushedShape], same: Shape | None = None) -> list[Shape] | None:
    """Return the shapes themselves; None where an earlier version kept hashes alone, or one is damaged.

    Args:
        before: as they were pushed.
        same: what all of them are to the pixel, if anything.
    """
    packed = [shape.geometry for shape in before if shape.geometry is not None]
    if len(packed) < len(before):
        return None
    try:
        return [unpack(geometry, same) for geometry in packed]
    except ShapeError as error:
        _log.warning("only hashes are compared: %s", error)
        return None


def _pushed(before: Sequence[PushedShape], found: Match) -> PushedShape:
    return before[found.before or 0]


def _empty(server: str, run_id: str, job: JobInfo, frame: PulledFrame) -> CorrectionRow:
    return CorrectionRow(
        server=server,
        run_id=run_id,
        task_id=job.task_id,
        job_id=job.id,
        frame=frame.frame,
        record_id=frame.record_id,
        outcome=EMPTY,
        label="",
        label_before=None,
        kind="",
        iou=None,
        boundary_px=None,
        moved_points=None,
        moved_px=None,
        changed_points=None,
        annotator=job.assignee,
        updated_date=job.updated_date,
    )
