"""Exports: asked for, prepared in the background, downloaded."""

from __future__ import annotations

import time
import uuid
import zipfile

from starlette.responses import Response

from agir_cvtoolkit.runs import atomic_path

from .answers import Refusal, empty, reply
from .calls import Call
from .cvat_xml import document
from .media import frames_of, original_bytes
from .store import Json, Store
from .tasks import jobs_of
from .work import NO_WORK, SimulatedWork
from .workers import Work, WorkError

FORMAT = "CVAT for images 1.1"


def show_formats(call: Call) -> Response:
    """Answer ``GET /api/server/annotation/formats``."""
    entry = {"name": FORMAT, "ext": "ZIP", "version": "1.1", "enabled": True, "dimension": "2d"}
    return reply({"importers": [], "exporters": [entry]})


def start_export(call: Call) -> Response:
    """Answer ``POST .../dataset/export``."""
    target = call.path.split("/")[2][:-1]
    call.load(target)
    name = call.query.get("format")
    if name is None:
        raise Refusal(400, {"format": ["This field is required."]})
    if name != FORMAT:
        raise Refusal(400, ["Unknown format specified for the request"])
    images = call.query.get("save_images", "false").lower() in {"true", "1"}
    part = "dataset" if images else "annotations"
    encoded = name.replace(" ", "_").replace(".", "~")
    rq_id = (
        f"action=export&target={target}&target_id={call.key}&user_id={call.user['id']}"
        f"&format={encoded}&subresource={part}"
    )
    operation = {"type": f"export:{part}", "target": target, f"{target}_id": call.key, "format": name}
    work = {"images": images, "origin": call.origin, "filename": call.query.get("filename")}
    call.world.workers.start(rq_id, operation, call.user, work)
    return reply({"rq_id": rq_id}, 202)


def gone(call: Call) -> Response:
    """Answer the endpoints that exports had before 2.32."""
    del call
    raise Refusal(
        410,
        "This endpoint is no longer supported. To initiate the export process, use POST .../dataset/export",
    )


def no_content(call: Call) -> Response:
    """Answer what the server accepts and forgets."""
    del call
    return empty(200)


def exporter(store: Store, simulated: SimulatedWork = NO_WORK) -> Work:
    """Return the work of an export request."""

    def export(request: Json) -> str:
        operation = request["operation"]
        target = str(operation["target"])
        found = store.get(target, operation[f"{target}_id"])
        if found is None:
            raise WorkError(f"The {target} was deleted")
        parts = _parts(store, target, found)
        wanted = (
            request["work"]["filename"] or f"{target}_{found['id']}_{request['operation']['type'][7:]}.zip"
        )
        name = wanted.replace("/", "_").replace("\\", "_")
        relative = f"exports/{uuid.uuid4().hex}__{name}"
        with (
            atomic_path(store.root / relative) as path,
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            annotations = document(store, target, found, parts, request["work"]["origin"])
            time.sleep(simulated.of_export(len(annotations)))
            archive.writestr("annotations.xml", annotations)
            if request["work"]["images"]:
                _add_pictures(store, archive, target, parts)
        return relative

    return export


def _parts(store: Store, target: str, found: Json) -> list[tuple[Json, list[Json]]]:
    if target == "project":
        tasks = store.all("task", parent=f"project:{found['id']}")
        return [(task, jobs_of(store, task["id"])) for task in tasks if task["data"] is not None]
    if target == "task":
        if found["data"] is None:
            raise WorkError("The task has no data")
        return [(found, jobs_of(store, found["id"]))]
    task = store.get("task", found["task_id"])
    if task is None:
        raise WorkError("The task was deleted")
    return [(task, [found])]


def _add_pictures(
    store: Store, archive: zipfile.ZipFile, target: str, parts: list[tuple[Json, list[Json]]]
) -> None:
    for task, jobs in parts:
        deleted = set(task["data"]["deleted_frames"])
        inside = {n for job in jobs for n in range(job["start_frame"], job["stop_frame"] + 1)} - deleted
        subset = f"{task['subset'] or 'default'}/" if target == "project" else ""
        for number, frame in enumerate(frames_of(store, task["id"])):
            if number in inside:
                content = original_bytes(store, task["id"], frame)
                archive.writestr(f"images/{subset}{frame['name']}", content, zipfile.ZIP_STORED)
