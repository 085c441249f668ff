"""A script that makes a task over plain HTTP with nothing but urllib3; it checks nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import urllib3

POLL_SECONDS = 0.1


@dataclass
class PlainScript:
    """The requests of one push, one after the other.

    Attributes:
        sent: method and path without query of each request, in order.
    """

    url: str
    username: str
    password: str
    sent: list[tuple[str, str]] = field(default_factory=list)
    _headers: dict[str, str] = field(default_factory=lambda: {"Accept": "application/vnd.cvat+json"})
    _pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False))

    def make_task(
        self, name: str, project_id: int, files: Sequence[Path], masks: Sequence[Sequence[int]]
    ) -> tuple[int, int]:
        """Make a task of `files` with one mask (CVAT's numbers) on each; return id and number of shapes."""
        self._get("/api/server/about")
        key = self._json("POST", "/api/auth/login", {"username": self.username, "password": self.password})[
            "key"
        ]
        self._headers["Authorization"] = f"Token {key}"
        self._get("/api/users/self")
        task_id: int = self._json("POST", "/api/tasks", {"name": name, "project_id": project_id})["id"]
        self._upload(task_id, files)
        frames = {f["name"]: i for i, f in enumerate(self._get(f"/api/tasks/{task_id}/data/meta")["frames"])}
        labels = self._get(f"/api/labels?task_id={task_id}&page=1&page_size=500")["results"]
        job = self._get(f"/api/jobs?task_id={task_id}&page=1&page_size=500")["results"][0]["id"]
        self._get(f"/api/jobs/{job}/annotations")
        shapes = [
            {"type": "mask", "frame": frames[file.name], "label_id": labels[0]["id"], "points": points}
            for file, points in zip(files, masks, strict=True)
        ]
        content = {"version": 0, "tags": [], "tracks": [], "shapes": shapes}
        made = self._json("PATCH", f"/api/jobs/{job}/annotations?action=create", content)
        return task_id, len(made["shapes"])

    def _upload(self, task_id: int, files: Sequence[Path]) -> None:
        path = f"/api/tasks/{task_id}/data/"
        self._send("POST", path, b"", {"Upload-Start": "true"})
        fields: dict[str, Any] = {"image_quality": "95"}
        for number, file in enumerate(files):
            fields[f"client_files[{number}]"] = (file.name, file.read_bytes())
        body, kind = urllib3.encode_multipart_formdata(fields)
        self._send("POST", path, body, {"Upload-Multiple": "true", "Content-Type": kind})
        settings = {
            "image_quality": 95,
            "sorting_method": "predefined",
            "upload_file_order": [file.name for file in files],
            "use_cache": True,
        }
        request_id = quote(self._json("POST", path, settings, {"Upload-Finish": "true"})["rq_id"], safe="")
        while self._get(f"/api/requests/{request_id}")["status"] not in {"finished", "failed"}:
            time.sleep(POLL_SECONDS)

    def _get(self, path: str) -> Any:
        return json.loads(self._send("GET", path))

    def _json(self, method: str, path: str, content: object, headers: dict[str, str] | None = None) -> Any:
        more = {"Content-Type": "application/json", **(headers or {})}
        return json.loads(self._send(method, path, json.dumps(content).encode(), more))

    def _send(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> bytes:
        self.sent.append((method, path.partition("?")[0]))
        answer = self._pool.request(
            method, self.url + path, body=body, headers={**self._headers, **(headers or {})}
        )
        if answer.status >= 300:
            raise SystemExit(f"{method} {path} was answered with {answer.status}: {answer.data[:200]!r}")
        return answer.data
