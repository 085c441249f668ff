"""Annotations brought in as a file, "CVAT 1.1": sent whole or in pieces, read in the background."""

from __future__ import annotations

import email.parser
import email.policy
import uuid
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from starlette.responses import Response

from .annotation_checks import read_all
from .annotations import append_annotations, replace_annotations
from .answers import Refusal, empty, reply
from .calls import Call
from .export_requests import IMPORT_FORMAT
from .generation import Generation
from .labels import labels_of, owner_of
from .media import frames_of
from .store import Json, Store
from .tasks import work_jobs_of
from .uploads import create_in_pieces
from .workers import Work, WorkError

_FOLDER = "imports"
_FIELD = "annotation_file"
_MODES = ("replace", "append")
_CORNERS = ("xtl", "ytl", "xbr", "ybr")


async def post_annotations(call: Call, stream: AsyncIterator[bytes]) -> Response:
    """Answer ``POST .../annotations/``: start, create a file for pieces, finish, or all in one request."""
    target = call.path.split("/")[2][:-1]
    call.load(target)
    if "upload-start" in call.headers:
        return empty(202)
    if "upload-length" in call.headers:
        return create_in_pieces(call, beside=_FOLDER)
    name = call.query.get("format")
    if not name:
        raise Refusal(400, {"format": ["This field is required."]})
    if name != IMPORT_FORMAT:
        raise Refusal(400, ["Unknown format specified for the request"])
    mode = call.query.get("import_mode", "replace") if call.generation.import_modes else "replace"
    if mode not in _MODES:
        raise Refusal(400, {"import_mode": [f'"{mode}" is not a valid choice.']})
    if "upload-finish" in call.headers:
        upload = call.store.get("tus", call.query.get("filename", ""))
        if upload is None or not upload["done"]:
            raise Refusal(400, ["Failed to find the uploaded annotation file"])
        path = call.store.root / _FOLDER / upload["name"]
    else:
        path = call.store.root / _FOLDER / uuid.uuid4().hex
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_sent_file(call, b"".join([piece async for piece in stream])))
    rq_id = f"action=import&target={target}&target_id={call.key}&subresource=annotations"
    operation = {"type": "import:annotations", "target": target, f"{target}_id": call.key, "format": name}
    call.world.workers.start(rq_id, operation, call.user, {"path": str(path), "mode": mode})
    return reply({"rq_id": rq_id}, 202)


def _sent_file(call: Call, body: bytes) -> bytes:
    head = f"Content-Type: {call.headers.get('content-type', '')}\r\n\r\n".encode("latin-1")
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    for part in message.iter_parts():
        payload = part.get_payload(decode=True)
        if part.get_param("name", header="content-disposition") == _FIELD and isinstance(payload, bytes):
            return payload
    raise Refusal(400, {_FIELD: ["No file was submitted."]})


def importer(store: Store, generation: Generation) -> Work:
    """Return the work of an import request."""

    def read(request: Json) -> None:
        operation, path = request["operation"], Path(request["work"]["path"])
        target = str(operation["target"])
        found = store.get(target, operation[f"{target}_id"])
        task = store.get("task", found["task_id"]) if found and target == "job" else found
        if found is None or task is None or task["data"] is None:
            raise WorkError(f"The {target} was deleted or has no data")
        jobs = [found] if target == "job" else work_jobs_of(store, task)
        try:
            content = read_all(_Reader(store, task).read(_document(path)), generation)
            write = append_annotations if request["work"]["mode"] == "append" else replace_annotations
            write(store, task, jobs, content)
        except Refusal as refusal:
            raise WorkError(str(refusal.body)) from refusal
        finally:
            path.unlink(missing_ok=True)

    return read


def _document(path: Path) -> ET.Element:
    try:
        if not zipfile.is_zipfile(path):
            return ET.parse(path).getroot()  # noqa: S314 - of this machine's own user; expat bounds expansion
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".xml")]
            if not names:
                raise WorkError("CvatImportError: Dataset must contain an XML file")
            return ET.fromstring(archive.read(names[0]))  # noqa: S314
    except (ET.ParseError, zipfile.BadZipFile) as error:
        raise WorkError(f"CvatImportError: Failed to parse the annotation file: {error}") from error


class _Reader:
    """Turns elements into what a request would hold."""

    def __init__(self, store: Store, task: Json) -> None:
        self._labels = labels_of(store, owner_of(task))
        self._frames: dict[str, int] = {}
        for number, frame in enumerate(frames_of(store, task["id"])):
            self._frames.setdefault(_bare(frame["name"]), number)

    def read(self, root: ET.Element) -> Json:
        tags: list[Json] = []
        shapes: list[Json] = []
        for image in root.iterfind("image"):
            name = image.get("name", "")
            frame = self._frames.get(_bare(name))
            if frame is None:
                raise WorkError(
                    f"CvatImportError: Could not match item id: '{_bare(name)}' with any task frame"
                )
            for element in image:
                item = self._item(element, frame, None)
                (tags if element.tag == "tag" else shapes).append(item)
        return {"tags": tags, "shapes": shapes, "tracks": [self._track(t) for t in root.iterfind("track")]}

    def _item(self, element: ET.Element, frame: int, parent: int | None) -> Json:
        label = self._label(element.get("label", ""), parent)
        item: Json = {
            "label_id": label["id"],
            "frame": frame,
            "source": element.get("source", "manual"),
            "group": int(element.get("group_id", 0)) or None,
            "attributes": self._values(element, label),
        }
        if element.tag == "tag":
            return item
        item |= _geometry(element)
        if element.tag == "skeleton":
            item["elements"] = [
                self._item(child, frame, label["id"]) for child in element if child.tag != "attribute"
            ]
        return item

    def _track(self, element: ET.Element) -> Json:
        label = self._label(element.get("label", ""), None)
        keys = [child for child in element if child.get("keyframe", "1") == "1" and child.get("frame")]
        shapes = [
            {
                **_geometry(child),
                "frame": int(child.get("frame", 0)),
                "attributes": self._values(child, label),
            }
            for child in keys
        ]
        common = {"source": element.get("source", "manual"), "label_id": label["id"], "attributes": []}
        return {**common, "frame": shapes[0]["frame"] if shapes else 0, "shapes": shapes}

    def _label(self, name: str, parent: int | None) -> Json:
        for label in self._labels:
            if label["name"] == name and label["parent_id"] == parent:
                return label
        raise WorkError(f"CvatImportError: Label '{name}' is not registered for this task")

    def _values(self, element: ET.Element, label: Mapping[str, Any]) -> list[Json]:
        ids = {attribute["name"]: attribute["id"] for attribute in label["attributes"]}
        return [
            {"spec_id": ids[name], "value": value.text or ""}
            for value in element.iterfind("attribute")
            if (name := value.get("name", "")) in ids
        ]


def _geometry(element: ET.Element) -> Json:
    kind = {"box": "rectangle"}.get(element.tag, element.tag)
    return {
        "type": kind,
        "occluded": element.get("occluded") == "1",
        "outside": element.get("outside") == "1",
        "z_order": int(element.get("z_order", 0)),
        "rotation": float(element.get("rotation", 0)),
        "points": [] if kind == "skeleton" else list(_points(element, kind)),
    }


def _points(element: ET.Element, kind: str) -> Iterator[float]:
    if kind == "rectangle":
        yield from (float(element.get(key, 0)) for key in _CORNERS)
    elif kind == "ellipse":
        cx, cy, rx, ry = (float(element.get(key, 0)) for key in ("cx", "cy", "rx", "ry"))
        yield from (cx, cy, cx + rx, cy - ry)
    elif kind == "mask":
        left, top, width, height = (int(element.get(key, 0)) for key in ("left", "top", "width", "height"))
        yield from (float(run) for run in element.get("rle", "").split(","))
        yield from (left, top, left + width - 1, top + height - 1)
    elif kind == "cuboid":
        for corner in ("tl", "bl", "tr", "br"):
            for number in (1, 2):
                yield from (float(element.get(f"{axis}{corner}{number}", 0)) for axis in ("x", "y"))
    else:
        for pair in filter(None, element.get("points", "").split(";")):
            yield from map(float, pair.split(","))


def _bare(name: str) -> str:
    return PurePosixPath(name).stem
