"""What lies in ``cvat_downloads/<task id>_<name>/``, as its frame map says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.records import file_stem
from agir_cvtoolkit.runs import Run, read_json_object, write_json

FOLDER = "cvat_downloads"
FRAME_MAP = "frame_map.json"
_PLAIN_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}")


@dataclass(frozen=True)
class PulledFrame:
    """One frame of a finished job.

    Attributes:
        mask: path of the decoded mask, relative to the task's folder; None where the shapes are no masks.
        sha256: of the picture that was pushed; None for a task that this tool did not make.
        shapes: how many the person left on it.
        not_in_mask: kinds of shapes on it that no mask can show, with commas between them.
        poses: path of its poses (see `poses.read_poses`), relative to the task's folder; None where the task's
            labels are no joints.
    """

    frame: int
    record_id: str
    file_name: str
    width: int
    height: int
    sha256: str | None
    job_id: int
    shapes: int
    mask: str | None
    not_in_mask: str = ""
    poses: str | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of what was made of its shapes, relative to the task's folder."""
        return tuple(path for path in (self.mask, self.poses) if path is not None)

    @property
    def picture_name(self) -> str:
        """Name of its picture where that is fetched; a server's own name may hold folders."""
        suffix = PurePosixPath(self.file_name).suffix
        plain = not suffix or _PLAIN_SUFFIX.fullmatch(suffix) is not None
        return file_stem(self.record_id) + (suffix if plain else ".img")


@dataclass(frozen=True)
class Honeypot:
    """A frame that repeats a validation frame, to see how well people work; it is nobody's record.

    Attributes:
        real_frame: number of the frame that it repeats.
    """

    frame: int
    real_frame: int
    file_name: str
    honeypot: bool = True


@dataclass(frozen=True)
class PulledTask:
    """A task's folder.

    Attributes:
        incomplete_jobs: ids of jobs of which something could not be taken; they are read again.
        deleted_frames: numbers of frames that were taken out of the task.
        honeypots: frames that repeat validation frames.
        validation_frames: numbers of the frames that honeypots repeat.
    """

    task_id: int
    name: str
    url: str
    folder: Path
    frames: tuple[PulledFrame, ...]
    incomplete_jobs: tuple[int, ...] = ()
    deleted_frames: tuple[int, ...] = ()
    honeypots: tuple[Honeypot, ...] = ()
    validation_frames: tuple[int, ...] = ()

    @property
    def no_records(self) -> frozenset[int]:
        """Numbers of frames whose annotations are not a record's."""
        honeypots = (honeypot.frame for honeypot in self.honeypots)
        return frozenset((*self.deleted_frames, *self.validation_frames, *honeypots))


def new_folder(run: Run, task_id: int, name: str) -> Path:
    """Return the folder that a task gets which has none yet; see `folders`."""
    # Brackets would be a pattern to shells and to glob.
    plain = re.sub(r"[\[\]*?]", "", name.replace(" ", "_"))
    return run.path(FOLDER, f"{task_id}_{file_stem(plain)[:120]}")


def folders(run: Run) -> dict[int, Path]:
    """Return the folders of all tasks that were pulled into a run, by task."""
    found: dict[int, Path] = {}
    for path in sorted(run.path(FOLDER).glob("*_*")):
        number = path.name.partition("_")[0]
        if number.isdecimal() and path.is_dir():
            found.setdefault(int(number), path)
    return found


def write_frame_map(task: PulledTask, name: str = FRAME_MAP) -> None:
    """Write ``frame_map.json``; it is the last file of a task, so what it names is there."""
    content: dict[str, Any] = {
        "task_id": task.task_id,
        "name": task.name,
        "url": task.url,
        "frames": [_plain(frame) for frame in task.frames],
        "incomplete_jobs": list(task.incomplete_jobs),
        "deleted_frames": list(task.deleted_frames),
        "honeypots": [asdict(honeypot) for honeypot in task.honeypots],
        "validation_frames": list(task.validation_frames),
    }
    write_json(task.folder / name, content)


def _plain(frame: PulledFrame) -> dict[str, Any]:
    content = asdict(frame)
    if not frame.not_in_mask:
        content.pop("not_in_mask")
    if frame.poses is None:
        content.pop("poses")
    return content


def read_frame_maps(run: Run, task_ids: Sequence[int] | None = None) -> list[PulledTask]:
    """Read the pulled tasks of a run, by task id.

    Raises:
        DataError: a frame map is damaged.
    """
    found = [read_frame_map_file(path) for path in sorted(run.path(FOLDER).glob(f"*/{FRAME_MAP}"))]
    wanted = [task for task in found if task_ids is None or task.task_id in task_ids]
    return sorted(wanted, key=lambda task: task.task_id)


def read_frame_map_file(path: Path) -> PulledTask:
    """Read one ``frame_map.json``.

    Raises:
        DataError: it is damaged.
    """
    content = read_json_object(path)
    try:
        return PulledTask(
            task_id=int(content["task_id"]),
            name=str(content["name"]),
            url=str(content["url"]),
            folder=path.parent,
            frames=tuple(PulledFrame(**frame) for frame in content["frames"]),
            incomplete_jobs=_numbers(content, "incomplete_jobs"),
            deleted_frames=_numbers(content, "deleted_frames"),
            honeypots=tuple(Honeypot(**honeypot) for honeypot in content.get("honeypots", ())),
            validation_frames=_numbers(content, "validation_frames"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is damaged: {error}", "Remove its folder and run download-cvat again."
        ) from error


def _numbers(content: Mapping[str, Any], key: str) -> tuple[int, ...]:
    return tuple(int(number) for number in content.get(key, ()))
