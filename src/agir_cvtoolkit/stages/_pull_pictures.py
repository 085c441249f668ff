"""Originals of what was pulled, fetched byte for byte where they are nowhere on this machine."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from agir_cvtoolkit.cvat import OriginalWanted, download_originals
from agir_cvtoolkit.progress import Progress
from agir_cvtoolkit.records import Item

from ._originals import is_untouched_since
from ._pull_context import PullContext
from ._pulled import FRAME_MAP, PulledFrame, PulledTask


def fetch_originals(
    context: PullContext, task: PulledTask, progress: Progress, *, read_now: Collection[int]
) -> list[Item]:
    """Fetch the pictures of a task that are missing.

    Args:
        context: of the pull.
        task: as it lies in the run.
        progress: told how far it is.
        read_now: ids of the jobs that this pull has read. Of their frames what is here is compared with what
            was pushed; of the others a file of the right name in the run is enough, and a source that was not
            written to since the last pull: reading all pictures each time would take longer than all the rest.

    Returns:
        The records whose picture could not be fetched, or is not the one that was pushed.
    """
    wanted = [
        OriginalWanted(frame.frame, path, frame.sha256, frame.job_id)
        for frame in task.frames
        for path in [task.folder / "images" / frame.picture_name]
        if _is_missing(context, task, frame, path, look_closely=frame.job_id in read_now)
    ]
    failed = download_originals(
        context.session,
        task.task_id,
        wanted,
        in_flight=context.settings.cvat_download.parallel_requests,
        progress=progress,
    )
    for original in wanted:
        if original.frame not in failed:
            context.originals.add(original.path)
    names = {frame.frame: frame.record_id for frame in task.frames}
    return [
        Item(names[frame], "failed", f"its picture could not be fetched: {error}")
        for frame, error in failed.items()
    ]


def _is_missing(
    context: PullContext, task: PulledTask, frame: PulledFrame, path: Path, *, look_closely: bool
) -> bool:
    entry = context.entries.get(frame.record_id)
    source = entry.source_path if entry is not None else None
    if context.settings.cvat_download.include_images and not path.is_file():
        return True
    if not look_closely:
        here = path.is_file() or context.originals.may_be_here(frame.record_id)
        if here or (source and is_untouched_since(Path(source), task.folder / FRAME_MAP)):
            return False
    return context.originals.find(frame.record_id, frame.sha256, task.folder, source) is None
