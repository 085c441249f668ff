"""Work in the background and the requests that tell how far it is."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from starlette.responses import FileResponse, Response

from agir_cvtoolkit.errors import DataError

from .answers import Refusal, empty, reply
from .calls import Call
from .lists import page_answer
from .store import Json, Store, now

_LOG = logging.getLogger(__name__)

_EXTRACTING = "Media files are being extracted..."
_KEPT = {"import": timedelta(hours=1), "export": timedelta(hours=24)}


class WorkError(DataError):
    """Work in the background failed; the problem is what the request's message says."""


Work = Callable[[Json], str | None]
"""Does the work of a request and returns where its result lies, under the sandbox's root."""


class Workers:
    """Two threads that work requests off, as the real server's two import workers do."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="sandbox-worker")
        self._messengers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="sandbox-messenger")
        self._kinds: dict[str, Work] = {}

    def learn(self, kind: str, work: Work) -> None:
        """Say how requests of a kind are worked off."""
        self._kinds[kind] = work

    def tell(self, work: Callable[[], object]) -> None:
        """Send a message to another server in the background."""
        self._messengers.submit(work)

    def resume(self) -> None:
        """Take up again what a stopped server left unfinished."""
        for request in self._store.all("request"):
            if request["status"] in {"queued", "started"}:
                self._pool.submit(self._run, request["id"])

    def start(self, rq_id: str, operation: Json, owner: Json, work: Json) -> None:
        """Queue a request.

        Raises:
            Refusal: 409, the same one is under way.
        """
        with self._store.transaction():
            known = self._store.get("request", rq_id)
            if known is not None and known["status"] in {"queued", "started"}:
                raise Refusal(409, {"rq_id": rq_id})
            request: Json = {
                "id": rq_id,
                "status": "queued",
                "message": "",
                "operation": operation,
                "owner": {"id": owner["id"], "username": owner["username"]},
                "created_date": now(),
                "started_date": None,
                "finished_date": None,
                "result": None,
                "work": work,
            }
            self._store.put("request", rq_id, request)
        self._pool.submit(self._run, rq_id)

    def stop(self) -> None:
        """Wait for the work under way; what is queued stays for the next start."""
        self._messengers.shutdown(wait=True, cancel_futures=True)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, rq_id: str) -> None:
        request = self._store.get("request", rq_id)
        if request is None:
            return
        request |= {"status": "started", "started_date": now()}
        self._store.put("request", rq_id, request)
        kind = str(request["operation"]["type"]).partition(":")[0]
        try:
            outcome = {"status": "finished", "result": self._kinds[kind](request)}
        except WorkError as error:
            outcome = {"status": "failed", "message": f"{error.problem}\n"}
        except Exception as error:  # noqa: BLE001 - whatever it is, the poller must learn of it
            _LOG.exception("request %s failed", rq_id)
            outcome = {"status": "failed", "message": f"{type(error).__name__}: {error}"}
        self._store.put("request", rq_id, request | outcome | {"finished_date": now()})


def show_request(call: Call) -> Response:
    """Answer ``GET /api/requests/RQ_ID``; what ended long ago is forgotten."""
    request = call.store.get("request", call.ids[0])
    if request is None or _forgotten(call, request):
        return _unknown()
    operation = request["operation"]
    if operation["type"] == "create:task" and call.store.get("task", operation["task_id"]) is None:
        raise Refusal(400, ["Task matching query does not exist."])
    return reply(_view(call, request))


def show_creation(call: Call) -> Response:
    """Answer ``GET /api/tasks/ID/status``, the older way; what is forgotten counts as finished."""
    call.load("task")
    request = call.store.get("request", creation_id(call.key))
    if request is None or _forgotten(call, request):
        return reply({"state": "Finished", "message": "", "progress": 0.0})
    message = _EXTRACTING if request["status"] == "started" else request["message"]
    return reply({"state": str(request["status"]).capitalize(), "message": message, "progress": 0.0})


def cancel_request(call: Call) -> Response:
    """Answer ``POST /api/requests/RQ_ID/cancel``: only what is not begun can be cancelled."""
    with call.store.transaction():
        request = call.store.get("request", call.ids[0])
        if request is None or _forgotten(call, request):
            return _unknown()
        if request["status"] != "queued":
            text = "Only requests that have not yet been started can be cancelled"
            return Response(text, 400, media_type="text/html")
        call.store.remove("request", request["id"])
    return empty(200)


def list_requests(call: Call) -> Response:
    """Answer ``GET /api/requests``."""
    requests = [r for r in call.store.all("request") if not _forgotten(call, r)]
    for name, value in (("status", None), ("action", "type"), ("target", "target"), ("task_id", "task_id")):
        wanted = call.query.get(name)
        if wanted:
            requests = [
                r
                for r in requests
                if str(r["operation"].get(value) if value else r["status"]).partition(":")[0] == wanted
            ]
    requests.sort(key=lambda r: str(r["created_date"]), reverse=True)
    return page_answer(call, requests, lambda r: _view(call, r))


def download(call: Call) -> Response:
    """Answer ``GET .../dataset/download?rq_id=`` and ``GET /api/events/download?rq_id=``."""
    request = call.store.get("request", call.query.get("rq_id", ""))
    if request is None or _forgotten(call, request):
        return _unknown()
    if request["status"] != "finished" or request["result"] is None:
        raise Refusal(400, ["Export process is not finished"])
    path = call.store.root / str(request["result"])
    if not path.is_file():
        raise Refusal(404, {"detail": "The exported file has expired, please retry exporting."})
    kind = "text/csv" if path.suffix == ".csv" else "application/zip"
    return FileResponse(path, media_type=kind, filename=path.name.partition("__")[2] or path.name)


def creation_id(task_id: int) -> str:
    """Return the id of the request that makes a task."""
    return f"action=create&target=task&target_id={task_id}"


def under_way(store: Store, task_id: int) -> bool:
    """Whether a task is being made or waits for it."""
    request = store.get("request", creation_id(task_id))
    return request is not None and request["status"] in {"queued", "started"}


def make_room(folder: Path) -> None:
    """Empty a folder and make it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)


def _unknown() -> Response:
    return Response("There is no request with specified id", 404, media_type="text/html")


def _forgotten(call: Call, request: Json) -> bool:
    if request["finished_date"] is None:
        return False
    return _expiry(call, request) <= datetime.now(UTC)


def _expiry(call: Call, request: Json) -> datetime:
    kind = str(request["operation"]["type"]).partition(":")[0]
    kept = _KEPT.get(kind, timedelta(seconds=call.world.options.creation_memory))
    return datetime.fromisoformat(request["finished_date"]) + kept


def _view(call: Call, request: Json) -> Json:
    operation = request["operation"]
    view = {key: request[key] for key in ("id", "status", "message", "created_date", "started_date")}
    view["operation"] = {
        key: operation.get(key) for key in ("type", "target", "project_id", "task_id", "job_id", "format")
    }
    done = request["status"] == "finished"
    view |= {
        # Nothing here takes long enough to tell how far it is, and the end is said by the status alone.
        "progress": 0.0,
        "finished_date": request["finished_date"],
        "expiry_date": _expiry(call, request).isoformat().replace("+00:00", "Z")
        if request["finished_date"]
        else None,
        "owner": request["owner"],
        "result_url": None,
        "result_id": None,
    }
    if done and request["result"] is not None:
        kind = operation["target"]
        where = "events" if kind == "events" else f"{kind}s/{operation[f'{kind}_id']}/dataset"
        quoted = str(request["id"]).replace("&", "%26").replace("=", "%3D")
        view["result_url"] = f"{call.origin}/api/{where}/download?rq_id={quoted}"
    return view
