"""Frames as they are read back: what they are, their pixels, previews and chunks."""

from __future__ import annotations

import io
import mimetypes
import zipfile
from pathlib import Path

from PIL import Image
from starlette.responses import FileResponse, Response

from agir_cvtoolkit.pictures import load_rgb

from .answers import PageRefusal, Refusal, not_found, reply
from .calls import Call
from .store import Json, Store, now
from .tasks import frames_in, touch_project

_PREVIEW = (256, 256)
_PLACEHOLDER = "placeholder.jpg"
_NO_FRAMES: Json = {
    "chunks_updated_date": None,
    "chunk_size": None,
    "size": 0,
    "image_quality": 70,
    "start_frame": 0,
    "stop_frame": 0,
    "frame_filter": "",
    "frames": [],
    "deleted_frames": [],
    "included_frames": None,
}
"""What a task says whose creation is under way or has failed."""


def frames_of(store: Store, task_id: int) -> list[Json]:
    """Return the frames of a task in order; empty before it has any."""
    found = store.get("frames", task_id)
    return [] if found is None else list(found["frames"])


def show_task_meta(call: Call) -> Response:
    """Answer ``GET /api/tasks/ID/data/meta``; before there are data it fails as the server does."""
    task = call.load("task")
    if task["data"] is None and task.get("begun"):
        return reply(_without_later(call, _NO_FRAMES))
    return reply(_meta(call, _task_with_data(task)))


def show_job_meta(call: Call) -> Response:
    """Answer ``GET /api/jobs/ID/data/meta``."""
    job = call.load("job")
    return reply(_meta(call, _task_of(call.store, job), job))


def patch_meta(call: Call) -> Response:
    """Answer ``PATCH /api/tasks/ID/data/meta`` and the same of jobs: which frames count as deleted."""
    job = call.load("job") if call.path.startswith("/api/jobs/") else None
    deleted = call.json_object().get("deleted_frames", [])
    store = call.store
    with store.transaction():
        task = _task_with_data(call.load("task")) if job is None else _task_of(store, job)
        first, last = _range(task, job)
        if not isinstance(deleted, list) or not all(isinstance(n, int) for n in deleted):
            raise Refusal(400, {"deleted_frames": ["A valid integer is required."]})
        unknown = sorted(n for n in deleted if not first <= n <= last)
        if unknown:
            raise Refusal(400, [f"Unknown frames {', '.join(map(str, unknown))} requested for removal"])
        kept = [n for n in task["data"]["deleted_frames"] if not first <= n <= last]
        task["data"]["deleted_frames"] = sorted(set(kept) | set(deleted))
        # Measured: a job's deletion moves the date of its task only, a task's moves none.
        store.put("task", task["id"], task if job is None else task | {"updated_date": now()})
        if job is not None:
            touch_project(store, task["project_id"])
    return reply(_meta(call, task, job))


def show_data(call: Call) -> Response:
    """Answer ``GET /api/tasks/ID/data`` and the same of jobs."""
    job = call.load("job") if call.path.startswith("/api/jobs/") else None
    task = _task_with_data(call.load("task")) if job is None else _task_of(call.store, job)
    kind = call.query.get("type")
    if kind not in {"frame", "chunk", "preview"}:
        raise Refusal(400, ["Data type not specified or not supported"])
    if kind == "preview":
        return _preview(call.store, task, job)
    quality = call.query.get("quality", "compressed")
    if quality not in {"original", "compressed"}:
        raise Refusal(400, ["Wrong quality value"])
    text = call.query.get("number") or call.query.get("index") or ""
    if not text.isdigit():
        raise Refusal(400, ["Number is not specified"])
    first, last = _range(task, job)
    number = int(text)
    if kind == "frame":
        if job is not None and number not in frames_in(job):
            raise Refusal(400, f"Incorrect requested frame number: {number}")
        if not first <= number <= last:
            reach = f"[{first}, {last + 1}]"
            raise Refusal(400, f"Invalid frame '{number}'. The frame number should be in the {reach} range")
        # Measured: a job of chosen frames gives no file as it was uploaded, only a new picture of it.
        chosen = job is not None and job.get("frames") is not None
        return _frame(call.store, task, number, quality, again=chosen)
    return _chunk(call.store, task, None if "number" in call.query else job, number, quality)


def show_preview(call: Call) -> Response:
    """Answer ``GET .../preview`` of tasks, jobs and projects."""
    if call.path.startswith("/api/projects/"):
        project = call.load("project")
        for task in call.store.all("task", parent=f"project:{project['id']}"):
            if task["data"] is not None:
                return _preview(call.store, task, None)
        raise not_found("Task")
    job = call.load("job") if call.path.startswith("/api/jobs/") else None
    task = _task_with_data(call.load("task")) if job is None else _task_of(call.store, job)
    return _preview(call.store, task, job)


def file_of(store: Store, task_id: int, frame: Json) -> Path:
    """Return the file of a frame: in the task's own folder, or where the server found it."""
    return Path(frame["path"]) if "path" in frame else store.folder(task_id) / str(frame["name"])


def original_bytes(store: Store, task_id: int, frame: Json) -> bytes:
    """Return a frame as its original: the file itself, or a new JPEG where it had to be turned."""
    path = file_of(store, task_id, frame)
    return _jpeg(path, 100) if frame["turned"] else path.read_bytes()


def _meta(call: Call, task: Json, job: Json | None = None) -> Json:
    data = task["data"]
    included = None if job is None else job.get("frames")
    first, last = _range(task, job)
    step = int(data["step"])
    shown = [
        {
            "width": frame["width"],
            "height": frame["height"],
            # A job of chosen frames lists all of its range, with placeholders for those that are not in it.
            "name": frame["name"] if included is None or number in included else _PLACEHOLDER,
            "related_files": 0,
            "has_related_context": False,
        }
        for number, frame in enumerate(frames_of(call.store, task["id"]))
        if first <= number <= last
    ]
    # The numbers of a task count its source files, and so do those of a job here, but not in /api/jobs.
    start = data["start_frame"] + first * step
    stop = data["stop_frame"] if job is None else data["start_frame"] + last * step
    meta = {
        "chunks_updated_date": data["chunks_updated_date"],
        "chunk_size": data["chunk_size"],
        "size": len(shown) if included is None else len(included),
        "image_quality": data["image_quality"],
        "start_frame": start,
        "stop_frame": stop,
        "frame_filter": data["frame_filter"],
        "frames": shown,
        "deleted_frames": [n for n in data["deleted_frames"] if first <= n <= last],
        "included_frames": included,
    }
    return _without_later(call, meta)


def _without_later(call: Call, meta: Json) -> Json:
    """Return what the played version says of a task's data."""
    meta = dict(meta)
    if not call.generation.chunk_dates:
        del meta["chunks_updated_date"]
    if call.generation.storage_fields:
        meta |= {"storage": "local", "cloud_storage_id": None}
    return meta


def _task_with_data(task: Json) -> Json:
    if task["data"] is None:
        raise PageRefusal(500)
    return task


def _task_of(store: Store, job: Json) -> Json:
    task = store.get("task", job["task_id"])
    if task is None:
        raise not_found("Job")
    return _task_with_data(task)


def _range(task: Json, job: Json | None) -> tuple[int, int]:
    if job is None:
        return 0, int(task["data"]["size"]) - 1
    return int(job["start_frame"]), int(job["stop_frame"])


def _frame(store: Store, task: Json, number: int, quality: str, *, again: bool) -> Response:
    frame = frames_of(store, task["id"])[number]
    path = file_of(store, task["id"], frame)
    if quality == "compressed":
        return Response(_jpeg(path, task["data"]["image_quality"]), media_type="image/jpeg")
    if again:
        return Response(_jpeg(path, 100), media_type="image/jpeg")
    if frame["turned"]:
        return Response(original_bytes(store, task["id"], frame), media_type="image/jpeg")
    return FileResponse(path, media_type=mimetypes.guess_type(frame["name"])[0] or "image/jpeg")


def _chunk(store: Store, task: Json, job: Json | None, number: int, quality: str) -> Response:
    size = int(task["data"]["chunk_size"])
    frames = frames_of(store, task["id"])
    if job is not None:
        frames = [frames[n] for n in frames_in(job)]
    frames = frames[number * size : (number + 1) * size]
    if not frames:
        raise Refusal(400, [f"Incorrect requested chunk number: {number}"])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for index, frame in enumerate(frames):
            path = file_of(store, task["id"], frame)
            if quality == "compressed":
                archive.writestr(f"{index:06d}.jpeg", _jpeg(path, task["data"]["image_quality"]))
            else:
                suffix = ".jpeg" if frame["turned"] else Path(frame["name"]).suffix
                archive.writestr(f"{index:06d}{suffix}", original_bytes(store, task["id"], frame))
    return Response(buffer.getvalue(), media_type="application/zip")


def _preview(store: Store, task: Json, job: Json | None) -> Response:
    first = 0 if job is None else frames_in(job)[0]
    frame = frames_of(store, task["id"])[first]
    image = Image.fromarray(load_rgb(file_of(store, task["id"], frame)))
    image.thumbnail(_PREVIEW)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return Response(buffer.getvalue(), media_type="image/jpeg")


def _jpeg(path: Path, quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(load_rgb(path)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
