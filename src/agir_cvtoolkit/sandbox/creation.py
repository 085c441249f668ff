"""The creation of a task from its files: which frames, in which order, in which jobs."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from agir_cvtoolkit.errors import PictureError
from agir_cvtoolkit.pictures import glance

from .jobs import add_job
from .server_pictures import found_pictures
from .storages import media_kind
from .store import Json, Store, now
from .validation import add_ground_truth, chosen_frames, with_honeypots
from .work import SimulatedWork
from .workers import Work, WorkError

_DIGITS = re.compile(r"(\d+)")
_STEP = re.compile(r"step\s*=\s*([1-9]\d*)")


def task_creator(store: Store, simulated: SimulatedWork) -> Work:
    """Return the work of a creation request."""

    def create(request: Json) -> None:
        task_id = int(request["operation"]["task_id"])
        settings: Json = request["work"]
        params = settings.get("validation_params")
        if params and params["mode"] == "gt_pool" and settings["sorting_method"] != "random":
            raise WorkError('validation mode "gt_pool" can only be used with "random" sorting')
        names, files, claimed = _sources(store, task_id, settings.get("server"))
        names = _ordered(names, settings)
        start = int(settings["start_frame"])
        stop = (
            len(names) - 1
            if settings["stop_frame"] is None
            else min(int(settings["stop_frame"]), len(names) - 1)
        )
        names = names[start : stop + 1 : int(settings["step"])]
        if not names:
            raise WorkError("ValueError: No media data found")
        own = store.folder(task_id)
        frames = [_frame(name, files.get(name, own / name), own, claimed) for name in names]
        chunk = settings["chunk_size"] or default_chunk_size(frames[0]["width"], frames[0]["height"])
        time.sleep(simulated.of_creation(chunk, [(f["width"], f["height"]) for f in frames]))
        _finish(store, task_id, frames, settings | {"start_frame": start, "stop_frame": stop})

    return create


def default_chunk_size(width: int, height: int) -> int:
    """Return how many pictures of a size the server puts into one chunk by itself."""
    return max(2, min(72, 36 * 1920 * 1080 // max(1, width * height)))


def frame_step(frame_filter: object) -> int:
    """Return the step of a ``frame_filter`` such as ``step=2``; 1 without one."""
    found = _STEP.fullmatch(str(frame_filter).strip()) if frame_filter else None
    return int(found[1]) if found else 1


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return the key by which ``natural`` sorts: digits by value, letters without case."""
    parts = _DIGITS.split(name.lower())
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part]


def _sources(
    store: Store, task_id: int, server: Json | None
) -> tuple[list[str], dict[str, Path], dict[str, tuple[int, int]]]:
    """Return the names of a task's pictures, the files of those that were not sent, and sizes claimed of them."""
    if server is None:
        return _pictures(store, task_id), {}, {}
    if store.uploads(task_id):
        missing = Path(server["base"]) / store.uploads(task_id)[0]
        raise WorkError(f"FileNotFoundError: [Errno 2] No such file or directory: '{missing}'")
    names, files, claimed = found_pictures(server, store.folder(task_id))
    if not names:
        raise WorkError("ValueError: No media data found")
    return names, files, claimed


def _pictures(store: Store, task_id: int) -> list[str]:
    if any(not upload["done"] for upload in store.all("tus", parent=f"task:{task_id}")):
        raise WorkError("An uploaded file is not complete")
    names = [name for name in store.uploads(task_id) if media_kind(name) == "image"]
    if not names:
        raise WorkError("ValueError: No media data found")
    return names


def _ordered(names: list[str], settings: Json) -> list[str]:
    method = settings["sorting_method"]
    if method == "natural":
        return sorted(names, key=natural_key)
    if method == "random":
        return random.sample(names, len(names))
    if method == "predefined":
        order: list[str] | None = settings["upload_file_order"]
        if settings.get("server") is not None:  # it is ignored there
            return names
        return names if order is None else [name for name in order if name in set(names)]
    return sorted(names, key=lambda name: name.encode("utf-8", "surrogatepass"))


def _frame(name: str, path: Path, own: Path, claimed: Mapping[str, tuple[int, int]]) -> Json:
    """Look at a picture; the place of one outside the task's own folder is kept with it."""
    elsewhere = not path.is_relative_to(own)
    try:
        info = glance(path)
    except PictureError as error:
        shown = path if elsewhere else name
        raise WorkError(f"PIL.UnidentifiedImageError: cannot identify image file '{shown}'") from error
    width, height = claimed.get(name, info.size)
    frame: Json = {"name": name, "width": width, "height": height, "turned": info.orientation != 1}
    return frame | {"path": str(path)} if elsewhere else frame


def _finish(store: Store, task_id: int, frames: list[Json], settings: Json) -> None:
    params: Json | None = settings.get("validation_params")
    with store.transaction():
        task = store.get("task", task_id)
        if task is None:
            raise WorkError("The task was deleted")
        at = now()
        try:
            if params is not None and params["mode"] == "gt_pool":
                frames, ranges, pool = with_honeypots(frames, params, int(task["segment_size"]))
                length = overlap = 0
            else:
                length, overlap = _segments(task, len(frames))
                ranges = list(_ranges(len(frames), length, overlap))
                pool = [] if params is None else chosen_frames(params, [f["name"] for f in frames], ranges)
        except ValueError as error:
            raise WorkError(str(error)) from error
        task |= {
            "segment_size": length if task["segment_size"] else 0,
            "overlap": overlap,
            "updated_date": at,
            "data": _data(frames, settings, at),
        }
        store.put("frames", task_id, {"frames": frames})
        for numbers in ranges:
            job = add_job(store, task_id, numbers[0], numbers[-1], at)
            for _ in range(task.get("replicas", 0)):
                add_job(store, task_id, numbers[0], numbers[-1], at, kind="replica", parent=job["id"])
        if params is not None:
            add_ground_truth(store, task, pool, params["mode"])
            if params["mode"] == "gt_pool":
                task["data"]["frames_per_job_count"] = sum("real" in frames[n] for n in ranges[0])
        store.put("task", task_id, task)


def _segments(task: Json, size: int) -> tuple[int, int]:
    length = min(task["segment_size"] or size, size)
    return length, min(task["overlap"] or 0, length // 2) if length < size else 0


def _ranges(size: int, length: int, overlap: int) -> Iterator[range]:
    first = 0
    while True:
        stop = min(first + length, size)
        yield range(first, stop)
        if stop == size:
            return
        first = stop - overlap


def _data(frames: list[Json], settings: Json, at: str) -> Json:
    return {
        "size": len(frames),
        "chunk_size": settings["chunk_size"] or default_chunk_size(frames[0]["width"], frames[0]["height"]),
        "image_quality": settings["image_quality"],
        "start_frame": settings["start_frame"],
        "stop_frame": settings["stop_frame"],
        "frame_filter": f"step={settings['step']}" if settings["step"] > 1 else "",
        "step": settings["step"],
        "deleted_frames": [],
        "chunks_updated_date": at,
        "validation_mode": None,
        "disabled_frames": [],
    }
