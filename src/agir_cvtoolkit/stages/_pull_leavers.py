"""Files of frames and jobs that have left a task, taken out of its folder."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from pathlib import Path

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.records import file_stem

from ._pull_apart import APART_FOLDERS, FRAMES
from ._pulled import PulledTask, read_frame_map_file

_log = logging.getLogger(__name__)


def remove_leavers(task: PulledTask, record_ids: Iterable[str], job_ids: Collection[int]) -> None:
    """Remove masks, poses and annotations that no longer belong to a task; nothing but files that a pull has written.

    Call it after the frame map is written, so that a mask that the map names is always there. Killed in between,
    the next call does the rest: what is to go is found by its name, not by what an earlier map said.

    Args:
        task: as its frame map has it.
        record_ids: of all frames that the task has or had here.
        job_ids: of all jobs that the task still has.
    """
    kept = {path for frame in task.frames for path in frame.files}
    stems = {file_stem(record_id) for record_id in record_ids}
    for name in {path for stem in stems for path in (f"masks/{stem}.png", f"poses/{stem}.json")} - kept:
        _remove(task.folder / name)
    for path in task.folder.glob("annotations/job_*.json"):
        if _is_of_another(path.stem, job_ids):
            _remove(path)
    for kind in APART_FOLDERS:
        for folder in task.folder.glob(f"{kind}/job_*"):
            if _is_of_another(folder.name, job_ids):
                _remove_apart(folder)


def _remove_apart(folder: Path) -> None:
    """Remove what lies apart of one job, its list of frames last."""
    try:
        frames = read_frame_map_file(folder / FRAMES).frames
    except DataError:
        return
    for frame in frames:
        for path in frame.files:
            _remove(folder / Path(path).parts[0] / Path(path).name)
    _remove(folder / "annotations" / f"{folder.name}.json")
    _remove(folder / FRAMES)
    for place in (folder / "masks", folder / "poses", folder / "annotations", folder):
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()


def _is_of_another(name: str, job_ids: Collection[int]) -> bool:
    number = name.removeprefix("job_")
    return number.isdecimal() and int(number) not in job_ids


def _remove(path: Path) -> None:
    if path.is_file():
        _log.info("removing %s: it has left its task", path)
        path.unlink(missing_ok=True)
