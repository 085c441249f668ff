"""A person who works in CVAT at the same time, and a line to the server on which she can be interleaved."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import agir_cvtoolkit.cvat.session
from agir_cvtoolkit.cvat.transport import Response, TransportFailure, Urllib3Transport
from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.upload_cvat import upload_cvat

from .workspace import Json, Workspace

LABEL = {
    "name": "weed",
    "attributes": [
        {
            "name": "sure",
            "mutable": False,
            "input_type": "checkbox",
            "default_value": "false",
            "values": ["false"],
        }
    ],
}


@dataclass
class Wire:
    """Calls something before each request of the client; request `stop` and all after it are not sent."""

    before: Callable[[int, str], None] = lambda number, request: None
    stop: int | None = None
    lost: int | None = None
    seen: list[str] = field(default_factory=list)

    def tapped(self, monkeypatch: pytest.MonkeyPatch) -> Wire:
        wire = self

        class Tapped(Urllib3Transport):
            def send(self, method: str, url: str, **options: Any) -> Response:
                number = len(wire.seen)
                wire.seen.append(f"{method} {url.partition('/api/')[2]}")
                if wire.stop is not None and number >= wire.stop:
                    raise KeyboardInterrupt
                wire.before(number, wire.seen[-1])
                answer = super().send(method, url, **options)
                if wire.lost == number:
                    raise TransportFailure("cut", "lost", sent=True)
                return answer

        monkeypatch.setattr(agir_cvtoolkit.cvat.session, "Urllib3Transport", Tapped)
        return self


@dataclass
class Person:
    """What she saves is what counts; `saved` is the job as it was after that, by id."""

    workspace: Workspace
    task_id: int
    job_id: int
    loaded: list[Json] = field(default_factory=list)
    saved: dict[int, Json] = field(default_factory=dict)
    chosen: Json | None = None
    frame: int = 0
    _marks: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def load(self) -> Person:
        self.loaded = self.shapes()
        return self

    def uppermost(self, frame: int) -> Json:
        """Return, of what was there when she opened the page, the shape that predictions differ in."""
        return min((shape for shape in self.loaded if shape["frame"] == frame), key=_top)

    def shapes(self) -> list[Json]:
        path = f"/api/jobs/{self.job_id}/annotations/"
        found: list[Json] = self.workspace.plain("GET", path).json["shapes"]
        return sorted(found, key=lambda shape: int(shape["id"]))

    def send(self, action: str, shape: Mapping[str, Any]) -> None:
        path = f"/api/jobs/{self.job_id}/annotations/?action={action}"
        content = {"version": 0, "tags": [], "tracks": [], "shapes": [shape]}
        got = self.workspace.plain("PATCH", path, content)
        assert got.status == 200, got.data
        self.saved = {shape["id"]: shape for shape in self.shapes()}

    # --- what she can do --------------------------------------------------------------------------

    def add(self) -> None:
        label = next(iter(self.workspace.labels(self.task_id)))
        points = [1.0, 1.0, 7.0 + next(self._marks), 8.0]
        drawn = {
            "type": "rectangle",
            "frame": self.frame,
            "label_id": label,
            "points": points,
            "source": "manual",
        }
        before = {shape["id"] for shape in self.shapes()}
        self.send("create", drawn)
        (self.chosen,) = [shape for shape in self.saved.values() if shape["id"] not in before]

    def edit(self) -> None:
        """Change what is there now."""
        self._edit(self._one(self.shapes()))

    def edit_as_loaded(self) -> None:
        """Change what was there when she opened the page."""
        self._edit(self._one(self.loaded))

    def edit_as_the_interface_does(self) -> None:
        """Change what was there; with the first save the job is in progress."""
        self._edit(self._one(self.loaded))
        self.workspace.set_job(self.job_id, state="in progress")

    def _edit(self, shape: Json) -> None:
        mark = next(self._marks)
        moved = {**shape, "type": "rectangle", "points": [2.0, 2.0, 9.0, 9.0 + mark], "source": "manual"}
        self.send("update", moved)
        self.chosen = self.saved[shape["id"]]

    def tick(self) -> None:
        """Set an attribute."""
        shape = self._one(self.shapes())
        attributes = [{**attribute, "value": "true"} for attribute in shape["attributes"]]
        assert attributes
        self.send("update", {**shape, "attributes": attributes})
        self.chosen = self.saved[shape["id"]]

    def delete(self) -> None:
        shape = self._one(self.shapes())
        self.send("delete", shape)
        self.chosen = shape

    def complete(self) -> None:
        self.workspace.set_job(self.job_id, state="completed")
        self.saved = {shape["id"]: shape for shape in self.shapes()}

    def edit_what_stays(self) -> None:
        """Change a proposal that old and new predictions have in common."""
        self._edit(max(self.shapes(), key=_top))

    @staticmethod
    def _one(shapes: list[Json]) -> Json:
        """Return the uppermost shape of the first frame: the one that predictions differ in."""
        return min(shapes, key=lambda shape: (shape["frame"], _top(shape)))


def _top(shape: Json) -> float:
    return float(shape["points"][-3 if shape["type"] == "mask" else 1])


def predict_anew(workspace: Workspace, number: int, *records: str) -> None:
    """Give records other masks, as another model would: one more square, at another place each time."""
    for record in records:
        path = workspace.run / workspace.manifest()[record]["mask_path"]
        mask = workspace.predicted_mask(record).copy()
        row, column = divmod(number, mask.shape[1] // 3)
        assert row < 2, "no more places"
        mask[:6, :] = 0
        mask[row * 3 : row * 3 + 2, column * 3 : column * 3 + 2] = 255
        save_png(np.ascontiguousarray(mask), path)


def contents(shapes: list[Json]) -> list[tuple[object, ...]]:
    """Return shapes without their ids, in an order of their own."""
    keys = ("frame", "type", "label_id", "points", "source", "attributes")
    return sorted((tuple(str(shape[key]) for key in keys) for shape in shapes), key=repr)


RECORDS = ("img_0", "img_1", "img_2")
CHANGED = ("img_0", "img_1")


def only_task(workspace: Workspace) -> int:
    (task,) = workspace.tasks()
    return int(task["id"])


def whole(workspace: Workspace) -> list[tuple[object, ...]]:
    return contents(workspace.shapes(only_task(workspace)))


def expected_of(workspace: Workspace) -> list[tuple[object, ...]]:
    """Return what an undisturbed push of the present predictions puts on the server."""
    upload_cvat(Call(overrides=("cvat_upload.task_name=undisturbed",)))
    task = max(int(task["id"]) for task in workspace.tasks())
    shapes = contents(workspace.shapes(task))
    assert workspace.plain("DELETE", f"/api/tasks/{task}").status == 204
    return shapes


ACTS: dict[str, Callable[[Person], None]] = {
    "add": Person.add,
    "edit": Person.edit,
    "edit what stays": Person.edit_what_stays,
    "edit as loaded": Person.edit_as_loaded,
    "edit as the interface does": Person.edit_as_the_interface_does,
    "tick": Person.tick,
    "delete": Person.delete,
    "complete": Person.complete,
}


def fresh(workspace: Workspace, number: int) -> Person:
    """Make the task anew, and new predictions; return a person who has its job open."""
    for task in workspace.tasks():
        assert workspace.plain("DELETE", f"/api/tasks/{task['id']}").status == 204
    predict_anew(workspace, 2 * number, *RECORDS)
    upload_cvat()
    task_id = only_task(workspace)
    person = Person(workspace, task_id, workspace.jobs(task_id)[0]["id"]).load()
    predict_anew(workspace, 2 * number + 1, *CHANGED)
    return person


def moments(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the requests of an undisturbed re-push."""
    fresh(workspace, 26)
    with monkeypatch.context() as patched:
        wire = Wire().tapped(patched)
        assert upload_cvat().replaced == 2
    return wire.seen
