"""What lies in ``cvat_downloads/<task id>_<name>/``: frame map, annotations as read, decoded masks."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit import masks, outlines
from agir_cvtoolkit.errors import DataError, MaskError
from agir_cvtoolkit.pictures import png_bytes
from agir_cvtoolkit.plain_shapes import to_plain
from agir_cvtoolkit.records import file_stem
from agir_cvtoolkit.runs import Run, read_json_object, write_bytes, write_json
from agir_cvtoolkit.shapes import Mask, Polygon, Shape

FOLDER = "cvat_downloads"
FRAME_MAP = "frame_map.json"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PulledFrame:
    """One frame of a finished job.

    Attributes:
        mask: path of the decoded mask, relative to the task's folder; None where the shapes are no masks.
        sha256: of the picture that was pushed; None for a task that this tool did not make.
        shapes: how many the person left on it.
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

    @property
    def picture_name(self) -> str:
        """Name of its picture where that is fetched; a server's own name may hold folders."""
        return file_stem(self.record_id) + PurePosixPath(self.file_name).suffix


@dataclass(frozen=True)
class PulledTask:
    """A task's folder.

    Attributes:
        incomplete_jobs: ids of jobs of which something could not be taken; they are read again.
    """

    task_id: int
    name: str
    url: str
    folder: Path
    frames: tuple[PulledFrame, ...]
    incomplete_jobs: tuple[int, ...] = ()


def folder_of(run: Run, task_id: int, name: str) -> Path:
    """Return the folder of a task; one that is there keeps its name although the task was renamed."""
    root = run.path(FOLDER)
    known = sorted(root.glob(f"{task_id}_*")) if root.is_dir() else []
    # Brackets would be a pattern to shells and to glob.
    plain = re.sub(r"[\[\]*?]", "", name.replace(" ", "_"))
    return known[0] if known else root / f"{task_id}_{file_stem(plain)[:120]}"


def write_frame_map(task: PulledTask) -> None:
    """Write ``frame_map.json``; it is the last file of a task, so what it names is there."""
    content = {
        "task_id": task.task_id,
        "name": task.name,
        "url": task.url,
        "frames": [asdict(frame) for frame in task.frames],
        "incomplete_jobs": list(task.incomplete_jobs),
    }
    write_json(task.folder / FRAME_MAP, content)


def has_frame_map(run: Run, task_id: int) -> bool:
    """Whether something of a task was pulled before."""
    return any(run.path(FOLDER).glob(f"{task_id}_*/{FRAME_MAP}"))


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
            incomplete_jobs=tuple(int(job) for job in content.get("incomplete_jobs", ())),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is damaged: {error}", "Remove its folder and run download-cvat again."
        ) from error


def write_shapes(folder: Path, job_id: int, content: Mapping[int, Sequence[Shape]]) -> None:
    """Write the shapes of a job as they were read, by frame, labels by name."""
    frames = {str(frame): [to_plain(shape) for shape in shapes] for frame, shapes in content.items()}
    write_bytes(
        folder / "annotations" / f"job_{job_id}.json", json.dumps(frames, ensure_ascii=False).encode("utf-8")
    )


def write_mask(
    folder: Path, stem: str, shapes: Sequence[Shape], size: tuple[int, int], class_ids: Mapping[str, int]
) -> str | None:
    """Draw shapes into one mask of class ids and write it as PNG.

    Shapes are drawn by z-order, later ones over earlier ones. Masks and polygons are areas; a record that has
    only other shapes gives no mask.

    Args:
        folder: of the task.
        stem: of the record's files.
        shapes: of one frame.
        size: width and height of the picture.
        class_ids: mask value by label.

    Returns:
        The path relative to the folder; None where there is no area to draw and other shapes are there.

    Raises:
        MaskError: runs that do not fit, or a label without class id.
    """
    areas = [shape for shape in shapes if isinstance(shape, Mask | Polygon)]
    if shapes and not areas:
        return None
    canvas: NDArray[np.uint8] = np.zeros((size[1], size[0]), dtype=np.uint8)
    for shape in sorted(areas, key=lambda s: s.z_order):
        if shape.label not in class_ids:
            raise MaskError(f"label '{shape.label}' has no class id", "Add it to dataset/classes.json.")
        _draw(canvas, shape, size, class_ids[shape.label])
    relative = f"masks/{stem}.png"
    write_bytes(folder / relative, png_bytes(canvas))
    return relative


def _draw(canvas: NDArray[np.uint8], shape: Mask | Polygon, size: tuple[int, int], value: int) -> None:
    if isinstance(shape, Polygon):
        ring = np.asarray(shape.points, dtype=np.float64)
        canvas[outlines.rasterize([ring], size)] = value
        return
    left, top, right, bottom = shape.box
    part = masks.decode(
        masks.Runs(shape.runs, (0, 0, right - left, bottom - top)), (right - left + 1, bottom - top + 1)
    )
    masks.check_runs(masks.Runs(shape.runs, shape.box), size)
    canvas[top : bottom + 1, left : right + 1][part] = value
