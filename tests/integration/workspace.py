"""A user's folder with its conf/, .keys/ and pictures, and the command line run in it."""

from __future__ import annotations

import json
import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from click.testing import CliRunner
from numpy.typing import NDArray

import agir_cvtoolkit
from agir_cvtoolkit.cli import main
from agir_cvtoolkit.pictures import load_mask
from agir_cvtoolkit.sandbox import Sandbox
from tests.sandbox.plain import Plain

from .plants import Plot, draw, rows_of, save, write_records

Json = dict[str, Any]
CREDENTIALS = ("admin", "admin123")
_CHANGES_NOTHING = ("/api/auth/login", "/api/events/export?")
"""Where a POST only asks for something."""


@dataclass(frozen=True)
class Outcome:
    """What a command left on the terminal."""

    code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout + self.stderr


@dataclass(eq=False)
class Workspace:
    root: Path
    sandbox: Sandbox
    plain: Plain
    plots: dict[str, Plot] = field(default_factory=dict)
    rows: list[dict[str, object]] = field(default_factory=list)

    # --- the user's files -----------------------------------------------------------------------------------

    def conf(self, group: str, content: object) -> None:
        path = self.root / "conf" / group / "default.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else yaml.safe_dump(content)
        path.write_text(text, encoding="utf-8")

    def keys(self, **changes: str) -> None:
        known = {"url": self.sandbox.url, "username": CREDENTIALS[0], "password": CREDENTIALS[1]} | changes
        path = self.root / ".keys" / "default.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({"cvat": known}), encoding="utf-8")
        path.chmod(0o600)

    def add(self, image_id: str, plot: Plot, file: str | None = None, number: int = 0) -> Path:
        """Add a picture to those of which `database` is made."""
        name = file or f"images/{image_id}.png"
        path = self.root / "pictures" / name
        save(plot, path)
        self.plots[image_id] = plot
        self.rows += rows_of(image_id, plot, name, number)
        return path

    def database(self) -> None:
        write_records(self.root / "pictures", self.rows)
        self.conf("db", {"semif": {"db_path": "semif.db"}})

    def fill(self, count: int = 3) -> None:
        for number in range(count):
            self.add(f"img_{number}", draw(number), number=number)
        self.database()

    # --- commands -------------------------------------------------------------------------------------------

    def cli(self, *words: str, code: int | None = 0) -> Outcome:
        try:
            result = CliRunner().invoke(main, list(words), prog_name="agir-cvtoolkit")
        finally:
            logging.getLogger("agir_cvtoolkit").handlers = []
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        outcome = Outcome(result.exit_code, result.stdout, result.stderr)
        assert code is None or outcome.code == code, f"{words} ended with {outcome.code}:\n{outcome.text}"
        return outcome

    def line(self, text: str, *, code: int | None = 0) -> Outcome:
        """Run a command line as it is printed."""
        words = shlex.split(text.replace("\\\n", " "), comments=True)
        assert words[0] == "agir-cvtoolkit"
        return self.cli(*words[1:], code=code)

    def start(self, *words: str, program: Sequence[str] = ("-m", "agir_cvtoolkit")) -> subprocess.Popen[str]:
        """Start a command as a process of its own."""
        source = str(Path(agir_cvtoolkit.__file__).parents[1])
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CVAT_")}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
        return subprocess.Popen(
            [sys.executable, *program, *words],
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def upload(self, *words: str, code: int | None = 0) -> Json:
        """Run ``upload-cvat --json`` and return what it says."""
        outcome = self.cli("upload-cvat", "--json", *words, code=code)
        return dict(json.loads(outcome.stdout))

    def predicted(self) -> None:
        """Run ``query`` and ``infer-seg``, saving images."""
        self.cli("query", "--db", "semif")
        self.cli("infer-seg", "-o", "seg_inference.output.save_images=true")

    # --- what a run holds -----------------------------------------------------------------------------------

    @property
    def run(self) -> Path:
        return (self.root / "outputs" / "runs" / "current").resolve()

    def metrics(self) -> Json:
        return dict(json.loads((self.run / "metrics.json").read_text(encoding="utf-8")))

    def manifest(self) -> dict[str, Json]:
        lines = (self.run / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
        return {entry["record_id"]: entry for entry in map(json.loads, lines)}

    def predicted_mask(self, record_id: str) -> NDArray[np.uint8]:
        return load_mask(self.run / self.manifest()[record_id]["mask_path"])

    def pulled(self, task_id: int) -> dict[str, NDArray[np.uint8] | None]:
        """Return the pulled masks of a task by record."""
        folder = next((self.run / "cvat_downloads").glob(f"{task_id}_*"))
        frames = json.loads((folder / "frame_map.json").read_text(encoding="utf-8"))["frames"]
        return {f["record_id"]: load_mask(folder / f["mask"]) if f["mask"] else None for f in frames}

    # --- the server -----------------------------------------------------------------------------------------

    def project(
        self,
        *labels: str | Mapping[str, Any],
        organization: str | None = None,
        name: str = "Field 1",
    ) -> int:
        listed = [{"name": label} if isinstance(label, str) else dict(label) for label in labels]
        headers = {"X-Organization": organization} if organization else {}
        got = self.plain("POST", "/api/projects", {"name": name, "labels": listed}, headers=headers)
        assert got.status == 201, got.data
        return int(got.json["id"])

    def organization(self, slug: str) -> None:
        got = self.plain("POST", "/api/organizations", {"slug": slug})
        assert got.status == 201, got.data

    def task(self, task_id: int) -> Json:
        return dict(self.plain("GET", f"/api/tasks/{task_id}").json)

    def tasks(self) -> list[Json]:
        return list(self.plain("GET", "/api/tasks?page_size=500").json["results"])

    def jobs(self, task_id: int) -> list[Json]:
        found = self.plain("GET", f"/api/jobs?task_id={task_id}&page_size=500").json["results"]
        return sorted(found, key=lambda job: int(job["start_frame"]))

    def frames(self, task_id: int) -> list[Json]:
        return list(self.plain("GET", f"/api/tasks/{task_id}/data/meta").json["frames"])

    def shapes(self, task_id: int) -> list[Json]:
        return list(self.plain("GET", f"/api/tasks/{task_id}/annotations/").json["shapes"])

    def labels(self, task_id: int) -> dict[int, str]:
        found = self.plain("GET", f"/api/labels?task_id={task_id}&page_size=500").json["results"]
        return {int(label["id"]): str(label["name"]) for label in found}

    def set_job(self, job_id: int, **content: str) -> None:
        got = self.plain("PATCH", f"/api/jobs/{job_id}", content)
        assert got.status == 200, got.data

    def complete(self, task_id: int) -> None:
        for job in self.jobs(task_id):
            self.set_job(int(job["id"]), state="completed")

    def state(self) -> Json:
        """Return everything on the server: tasks, their frames, jobs and annotations."""
        return {
            str(task["id"]): {
                "task": self.task(task["id"]),
                "meta": self.plain("GET", f"/api/tasks/{task['id']}/data/meta").json,
                "jobs": self.jobs(task["id"]),
                "annotations": self.plain("GET", f"/api/tasks/{task['id']}/annotations/").json,
            }
            for task in self.tasks()
        }

    def writes(self) -> list[str]:
        """Return the requests that could have changed something since the list was started anew."""
        return [
            f"{seen.method} {seen.target}"
            for seen in self.sandbox.requests()
            if seen.method not in {"GET", "HEAD", "OPTIONS"} and not seen.target.startswith(_CHANGES_NOTHING)
        ]
