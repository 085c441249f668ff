"""Exports as they are prepared in the background."""

from __future__ import annotations

import time
import uuid
import zipfile

from agir_cvtoolkit.runs import atomic_path

from .cvat_xml import document, exported_frames
from .events import write_log
from .media import frames_of, original_bytes
from .store import Json, Store
from .tasks import work_jobs_of
from .work import NO_WORK, SimulatedWork, rest_of
from .workers import Work, WorkError


def exporter(store: Store, simulated: SimulatedWork = NO_WORK) -> Work:
    """Return the work of an export request."""

    def export(request: Json) -> str:
        operation = request["operation"]
        if operation["target"] == "events":
            work = request["work"]
            return write_log(store, work["asked"], is_kept=bool(work["is_kept"]))
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
            begun = time.monotonic()
            annotations = document(store, target, found, parts, request["work"]["origin"])
            archive.writestr("annotations.xml", annotations)
            time.sleep(rest_of(simulated.of_export(len(annotations)), begun))
            if request["work"]["images"]:
                _add_pictures(store, archive, target, parts)
        return relative

    return export


def _parts(store: Store, target: str, found: Json) -> list[tuple[Json, list[Json]]]:
    if target == "project":
        tasks = store.all("task", parent=f"project:{found['id']}")
        return [(task, work_jobs_of(store, task)) for task in tasks if task["data"] is not None]
    if target == "task":
        if found["data"] is None:
            raise WorkError("The task has no data")
        return [(found, work_jobs_of(store, found))]
    task = store.get("task", found["task_id"])
    if task is None:
        raise WorkError("The task was deleted")
    return [(task, [found])]


def _add_pictures(
    store: Store, archive: zipfile.ZipFile, target: str, parts: list[tuple[Json, list[Json]]]
) -> None:
    for task, jobs in parts:
        inside = exported_frames(store, task, jobs)
        subset = f"{task['subset'] or 'default'}/" if target == "project" else ""
        for number, frame in enumerate(frames_of(store, task["id"])):
            if number in inside:
                content = original_bytes(store, task["id"], frame)
                archive.writestr(f"images/{subset}{frame['name']}", content, zipfile.ZIP_STORED)
