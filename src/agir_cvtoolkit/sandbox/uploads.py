"""Files for a task: groups of them by multipart, large ones in pieces (TUS 1.0), streamed to the disk."""

from __future__ import annotations

import base64
import binascii
import html
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.responses import Response

from .answers import PageRefusal, Refusal, empty, reply, required
from .calls import Call
from .creation import frame_step
from .storages import named_files
from .store import Json
from .validation import checked_params
from .workers import creation_id, under_way

_SORTINGS = ("lexicographical", "natural", "predefined", "random")
_TUS_MAX = 26843545600
_TUS_HEADERS = {
    "Tus-Resumable": "1.0.0",
    "Tus-Version": "1.0.0",
    "Tus-Extension": "",
    "Tus-Max-Size": str(_TUS_MAX),
}
_INDEXED = "client_files["
_MOST_NAMED = 5


async def post_data(call: Call, stream: AsyncIterator[bytes]) -> Response:
    """Answer ``POST /api/tasks/ID/data/``: start, take files, create a file for pieces, or finish."""
    task = call.load("task")
    if task["data"] is not None or under_way(call.store, call.key):
        raise Refusal(400, "Adding more data is not supported")
    headers = call.headers
    if "upload-length" in headers:
        return create_in_pieces(call)
    if "upload-start" in headers:
        return empty(202)
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == "multipart/form-data":
        fields = await _take_files(call, stream)
    else:
        body = b"".join([piece async for piece in stream])
        fields = Call(**{**vars(call), "body": body}).json_object()
    if "image_quality" not in fields:
        raise required("image_quality")
    if "upload-multiple" in headers:
        return empty(200)
    return _begin(call, fields)


async def patch_upload(call: Call, stream: AsyncIterator[bytes]) -> Response:
    """Answer ``PATCH .../FILE_ID`` of data and annotations: one piece of a large file."""
    upload = _upload(call)
    sent = call.headers.get("upload-offset", "")
    if not sent.isdigit() or int(sent) != upload["offset"] or upload["done"]:
        return empty(409, _TUS_HEADERS)
    path = call.store.root / upload["folder"] / upload["name"]
    offset = int(upload["offset"])
    with path.open("r+b") as file:
        file.seek(offset)
        async for piece in stream:
            file.write(piece[: upload["length"] - offset])
            offset = min(offset + len(piece), upload["length"])
    upload |= {"offset": offset, "done": offset == upload["length"]}
    call.store.put("tus", upload["id"], upload)
    return empty(204, _TUS_HEADERS | {"Upload-Offset": str(offset), "Upload-Filename": upload["id"]})


def show_upload(call: Call) -> Response:
    """Answer ``HEAD .../FILE_ID`` of data and annotations: how far a large file is; a complete one is a 500."""
    upload = _upload(call)
    if upload["done"]:
        raise PageRefusal(500)
    sizes = {"Upload-Offset": str(upload["offset"]), "Upload-Length": str(upload["length"])}
    return empty(200, _TUS_HEADERS | sizes)


def _begin(call: Call, fields: Json) -> Response:
    for key in ("remote_files", "job_file_mapping"):
        if fields.get(key):
            raise Refusal(400, {key: ["This server takes uploaded pictures only."]})
    server = named_files(call, fields)
    method = fields.get("sorting_method") or "lexicographical"
    if method not in _SORTINGS:
        raise Refusal(400, {"sorting_method": [f'"{method}" is not a valid choice.']})
    order = fields.get("upload_file_order") or None
    # Measured: where no file has come at all, the list is not looked at, and the worker finds nothing.
    if order is not None and method == "predefined" and server is None and call.store.uploads(call.key):
        _check_order(order, call.store.uploads(call.key))
    if str(fields.get("chunk_size")) == "0":
        raise Refusal(400, {"chunk_size": ["Chunk size must be a positive integer"]})
    settings = {
        "image_quality": _number(fields, "image_quality", 70, 100),
        "chunk_size": _number(fields, "chunk_size", None),
        "start_frame": _number(fields, "start_frame", 0),
        "stop_frame": _number(fields, "stop_frame", None),
        "step": frame_step(fields.get("frame_filter")),
        "sorting_method": method,
        "upload_file_order": order if method == "predefined" else None,
        "server": server,
        "validation_params": checked_params(fields) if call.generation.validation else None,
    }
    rq_id = creation_id(call.key)
    with call.store.transaction():
        call.store.put("task", call.key, call.load("task") | {"begun": True})
    operation = {"type": "create:task", "target": "task", "task_id": call.key}
    call.world.workers.start(rq_id, operation, call.user, settings)
    return reply({"rq_id": rq_id}, 202)


def _check_order(order: object, uploaded: list[str]) -> None:
    """Refuse an order that is not that of the files; measured: where there is none at all, the worker finds out.

    Raises:
        Refusal: 400.
    """
    if not isinstance(order, list) or not all(isinstance(name, str) for name in order):
        kind = type(order).__name__
        text = "Not a valid string." if kind == "list" else f'Expected a list of items but got type "{kind}".'
        raise Refusal(400, {"upload_file_order": [text]})
    if not uploaded:
        return
    wrong = [f"{name} (missing)" for name in dict.fromkeys(order) if name not in set(uploaded)]
    wrong += [f"{name} (extra)" for name in uploaded if name not in set(order)]
    if wrong:
        more = f" (and {len(wrong) - _MOST_NAMED} more). " if len(wrong) > _MOST_NAMED else ""
        raise Refusal(
            400,
            [
                "Uploaded files do not match the 'upload_file_order' field contents. Please check the uploaded "
                f"data and the list of uploaded files. Mismatching files: {', '.join(wrong[:_MOST_NAMED])}{more}"
            ],
        )


def _number(fields: Json, key: str, default: int | None, largest: int | None = None) -> int | None:
    value = fields.get(key)
    if value in {None, ""}:
        return default
    try:
        number = int(str(value))
    except ValueError as error:
        raise Refusal(400, {key: ["A valid integer is required."]}) from error
    if number < 0 or (largest is not None and number > largest):
        bound = "less than or equal to 100" if number >= 0 else "greater than or equal to 0"
        raise Refusal(400, {key: [f"Ensure this value is {bound}."]})
    return number


def base_name(name: str) -> str:
    """Return the last part of a sent file name."""
    return name.replace("\\", "/").rpartition("/")[2]


def kept_name(name: str) -> str:
    """Return what the server's form parser keeps of a sent file name; empty where it takes no such file.

    HTML entities are resolved, folders and all that cannot be printed are dropped, spaces at the ends stay.
    """
    kept = "".join(char for char in base_name(html.unescape(name)) if char.isprintable())
    return "" if kept in {".", ".."} else kept


async def _take_files(call: Call, stream: AsyncIterator[bytes]) -> Json:
    content_type, options = parse_options_header(call.headers["content-type"])
    boundary = options.get(b"boundary")
    if content_type != b"multipart/form-data" or not boundary:
        raise Refusal(400, {"detail": "Multipart form parse error - Invalid boundary in multipart: None"})
    parts = _Parts(call)
    parser = MultipartParser(boundary, parts.callbacks())  # type: ignore[arg-type]
    try:
        async for piece in stream:
            parser.write(piece)
        parser.finalize()
        if "image_quality" not in parts.fields:
            raise required("image_quality")
        parts.keep()
    finally:
        parts.close()
    return parts.fields


class _Parts:
    """Writes the files of a multipart body to the task's folder as they come, and keeps the small fields.

    As measured, a body is taken whole or not at all: neither one that was cut nor one with a known name leaves
    a file behind.
    """

    def __init__(self, call: Call) -> None:
        self.fields: Json = {}
        self._call = call
        self._header: list[bytes] = [b"", b""]
        self._headers: dict[str, bytes] = {}
        self._name = ""
        self._value: bytearray | None = None
        self._parts: list[tuple[Path, Path]] = []
        self._whole: list[tuple[Path, Path]] = []
        self._in_file = False
        self._file = _Sink()

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._collect(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._collect(1, data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._open,
            "on_part_data": lambda data, start, end: self._data(data[start:end]),
            "on_part_end": self._end,
        }

    def keep(self) -> None:
        """Take all files under their names.

        Raises:
            PageRefusal: 500, one of the names is taken.
        """
        store, task_id = self._call.store, self._call.key
        with store.transaction():
            for _, target in self._whole:
                if target.exists() or not store.claim_upload(task_id, target.name):
                    raise PageRefusal(500)
            for part, target in self._whole:
                part.replace(target)

    def close(self) -> None:
        """Drop what was not kept: its names are free again."""
        self._file.close()
        for part, _ in self._parts:
            part.unlink(missing_ok=True)

    def _begin(self) -> None:
        self._headers, self._value, self._in_file = {}, None, False

    def _collect(self, which: int, data: bytes) -> None:
        self._header[which] += data

    def _header_end(self) -> None:
        self._headers[self._header[0].decode("latin-1").lower()] = self._header[1]
        self._header = [b"", b""]

    def _open(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        file_name = options.get(b"filename")
        if file_name is None:
            self._value = bytearray()
            return
        name = kept_name(file_name.decode("utf-8", "replace"))
        if not self._name.startswith(_INDEXED) or not name:
            return
        folder = self._call.store.folder(self._call.key)
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{uuid.uuid4().hex}.part"
        self._parts.append((part, folder / name))
        self._file.open(part)
        self._in_file = True

    def _data(self, data: bytes) -> None:
        if self._value is not None:
            self._value += data
        else:
            self._file.write(data)

    def _end(self) -> None:
        if self._value is not None:
            self.fields[self._name] = self._value.decode("utf-8", "replace")
        elif self._in_file:
            self._file.close()
            self._whole.append(self._parts[-1])


class _Sink:
    """A file that may be closed."""

    def __init__(self) -> None:
        self._stream: BinaryIO | None = None

    def open(self, path: Path) -> None:
        self._stream = path.open("wb")

    def write(self, data: bytes) -> None:
        if self._stream is not None:
            self._stream.write(data)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = None


def create_in_pieces(call: Call, *, beside: str | None = None) -> Response:
    """Make the file that pieces go into.

    Args:
        beside: the folder below the state where it lies under the number it gets; None for a picture of the
            task, which keeps its name.
    """
    headers = call.headers
    if "origin" not in headers:
        raise PageRefusal(500)
    metadata = {}
    for pair in headers.get("upload-metadata", "").split(","):
        key, _, value = pair.strip().partition(" ")
        try:
            metadata[key] = base64.b64decode(value, validate=True).decode("utf-8", "surrogateescape")
        except binascii.Error as error:
            raise Refusal(400, {"detail": "Upload-Metadata cannot be read."}) from error
    name = metadata.get("filename", "")
    length = headers["upload-length"]
    if not length.isdigit() or not name or base_name(name) != name or name in {".", ".."}:
        return Response("Invalid filename", 400, media_type="text/html")
    if int(length) > _TUS_MAX:
        return empty(413, _TUS_HEADERS)
    store = call.store
    number = uuid.uuid4().hex
    name = name if beside is None else number
    folder = store.folder(call.key) if beside is None else store.root / beside
    folder.mkdir(parents=True, exist_ok=True)
    if beside is None and ((folder / name).exists() or not store.claim_upload(call.key, name)):
        return Response("File with same name already exists", 409, media_type="text/html")
    (folder / name).touch()
    upload: Json = {"id": number, "name": name, "length": int(length), "offset": 0, "done": length == "0"}
    upload["folder"] = str(folder.relative_to(store.root))
    store.put("tus", number, upload, parent=f"task:{call.key}" if beside is None else None)
    location = f"{call.origin}{call.path.rstrip('/')}/{number}"
    return empty(201, _TUS_HEADERS | {"Location": location, "Upload-Filename": number, "Upload-Offset": "0"})


def _upload(call: Call) -> Json:
    upload = call.store.get("tus", call.ids[1])
    if upload is None:
        raise Refusal(404, {"detail": "Not found."})
    return upload
