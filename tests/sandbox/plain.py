"""Plain HTTP for the tests of the sandbox: no client code of the package, so errors cannot cancel out."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
import urllib3
from PIL import Image


@dataclass(frozen=True)
class Got:
    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)


class Plain:
    def __init__(self, url: str) -> None:
        self.url = url
        self.headers: dict[str, str] = {}
        self._pool = urllib3.PoolManager(retries=False, timeout=120)

    def close(self) -> None:
        self._pool.clear()

    def log_in(self, username: str = "admin", password: str = "admin123") -> Got:
        got = self("POST", "/api/auth/login", {"username": username, "password": password})
        if got.status == 200:
            self.headers["Authorization"] = f"Token {got.json['key']}"
        return got

    def __call__(
        self,
        method: str,
        path: str,
        content: object = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Got:
        sent = dict(self.headers)
        if content is not None:
            body = json.dumps(content).encode()
            sent["Content-Type"] = "application/json"
        sent |= dict(headers or {})
        response = self._pool.request(method, self.url + path, body=body, headers=sent, redirect=False)
        return Got(response.status, response.headers, response.data)

    def multipart(
        self, path: str, fields: Mapping[str, object], headers: Mapping[str, str] | None = None
    ) -> Got:
        body, kind = urllib3.encode_multipart_formdata(fields)  # type: ignore[arg-type]
        return self("POST", path, body=body, headers={"Content-Type": kind, **(headers or {})})

    def project(self, labels: Sequence[Mapping[str, Any]] = ({"name": "plant"},)) -> dict[str, Any]:
        got = self("POST", "/api/projects", {"name": "p", "labels": list(labels)})
        assert got.status == 201, got.data
        return dict(got.json)

    def labels(self, project_id: int) -> dict[str, dict[str, Any]]:
        found = self("GET", f"/api/labels?project_id={project_id}&page_size=100").json["results"]
        return {label["name"]: label for label in found}

    def send(self, task_id: int, files: Mapping[str, bytes], **settings: Any) -> Got:
        path = f"/api/tasks/{task_id}/data/"
        assert self("POST", path, headers={"Upload-Start": ""}).status == 202
        fields: dict[str, object] = {"image_quality": "70"}
        fields |= {
            f"client_files[{i}]": (name, data, "image/png") for i, (name, data) in enumerate(files.items())
        }
        assert self.multipart(path, fields, {"Upload-Multiple": ""}).status == 200
        return self("POST", path, {"image_quality": 70, **settings}, headers={"Upload-Finish": ""})

    def wait(self, rq_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            request = self("GET", f"/api/requests/{quote(rq_id, safe='')}").json
            if request["status"] in {"finished", "failed"}:
                return dict(request)
            time.sleep(0.01)
        raise AssertionError("the request does not end")

    def task(
        self,
        files: Mapping[str, bytes] | None = None,
        *,
        project_id: int | None = None,
        spec: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> dict[str, Any]:
        content: dict[str, Any] = {"name": "t", **(spec or {})}
        if project_id is None:
            content.setdefault("labels", [{"name": "plant"}])
        else:
            content["project_id"] = project_id
        made = self("POST", "/api/tasks", content)
        assert made.status == 201, made.data
        task_id = made.json["id"]
        begun = self.send(task_id, files if files is not None else pictures(3), **settings)
        assert begun.status == 202, begun.data
        ended = self.wait(begun.json["rq_id"])
        assert ended["status"] == "finished", ended
        return dict(self("GET", f"/api/tasks/{task_id}").json)

    def names(self, task_id: int) -> list[str]:
        return [frame["name"] for frame in self("GET", f"/api/tasks/{task_id}/data/meta").json["frames"]]


def picture(seed: int = 0, size: tuple[int, int] = (24, 16), kind: str = "PNG", **options: Any) -> bytes:
    array = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def pictures(count: int, size: tuple[int, int] = (24, 16)) -> dict[str, bytes]:
    return {f"f{i:02d}.png": picture(i, size) for i in range(count)}


def rectangle(
    label_id: int, frame: int = 0, points: Sequence[float] = (1, 2, 10, 12), **more: Any
) -> dict[str, Any]:
    return {"type": "rectangle", "frame": frame, "label_id": label_id, "points": list(points), **more}


def shapes(*items: Mapping[str, Any]) -> dict[str, Any]:
    return {"version": 0, "tags": [], "shapes": list(items), "tracks": []}
