"""How exports are asked for: in the background since 2.17, and up to 2.31 also by one GET again and again."""

from __future__ import annotations

from starlette.responses import FileResponse, Response

from .answers import Refusal, empty, html_page, reply
from .calls import Call
from .store import Json

FORMAT = "CVAT for images 1.1"
IMPORT_FORMAT = "CVAT 1.1"

_GONE = "This endpoint is no longer supported. To initiate the export process, use POST .../dataset/export"


def show_formats(call: Call) -> Response:
    """Answer ``GET /api/server/annotation/formats``."""
    del call
    kind = {"version": "1.1", "enabled": True, "dimension": "2d"}
    importers = [{"name": IMPORT_FORMAT, "ext": "XML, ZIP", **kind}]
    return reply({"importers": importers, "exporters": [{"name": FORMAT, "ext": "ZIP", **kind}]})


def start_export(call: Call) -> Response:
    """Answer ``POST .../dataset/export``."""
    images = call.query.get("save_images", "false").lower() in {"true", "1"}
    return _start(call, images=images)


def export_by_get(call: Call) -> Response:
    """Answer ``GET .../dataset`` and ``GET .../annotations?format=`` as servers before 2.32 do.

    Asked for the first time, and while it is made, 202; ready, 201; then ``action=download`` gives the file
    and forgets it. From 2.32 on 410.
    """
    if not call.generation.old_exports:
        raise gone_refusal()
    action = call.query.get("action", "")
    if action not in {"", "download"}:
        raise Refusal(400, ["Unexpected action specified for the request"])
    images = call.path.rstrip("/").endswith("/dataset")
    rq_id, _ = _described(call, images=images)
    request = call.store.get("request", rq_id)
    if request is None or request["status"] in {"queued", "started"}:
        if action == "download":
            raise Refusal(400, "Export has not finished")
        return reply({"rq_id": rq_id}, 202) if request is not None else _start(call, images=images)
    if request["status"] == "failed":
        call.store.remove("request", rq_id)
        return html_page(500)
    if not action:
        return empty(201)
    call.store.remove("request", rq_id)
    path = call.store.root / str(request["result"])
    return FileResponse(path, media_type="application/zip", filename=path.name.partition("__")[2])


def gone(call: Call) -> Response:
    """Answer what no played version has any more."""
    del call
    raise gone_refusal()


def gone_refusal() -> Refusal:
    """Return the 410 of the endpoints that exports had before 2.32."""
    return Refusal(410, _GONE)


def _start(call: Call, *, images: bool) -> Response:
    rq_id, operation = _described(call, images=images)
    work = {"images": images, "origin": call.origin, "filename": call.query.get("filename")}
    call.world.workers.start(rq_id, operation, call.user, work)
    return reply({"rq_id": rq_id}, 202)


def _described(call: Call, *, images: bool) -> tuple[str, Json]:
    target = call.path.split("/")[2][:-1]
    call.load(target)
    name = call.query.get("format")
    if name is None:
        raise Refusal(400, {"format": ["This field is required."]})
    if name != FORMAT:
        raise Refusal(400, ["Unknown format specified for the request"])
    part = "dataset" if images else "annotations"
    encoded = name.replace(" ", "_").replace(".", "~")
    rq_id = (
        f"action=export&target={target}&target_id={call.key}&user_id={call.user['id']}"
        f"&format={encoded}&subresource={part}"
    )
    return rq_id, {
        "type": f"export:{part}",
        "target": target,
        f"{target}_id": call.key,
        "format": name,
    }
