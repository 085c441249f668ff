from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agir_cvtoolkit.errors import (
    AuthenticationError,
    LabelError,
    MaskError,
    NotFoundError,
    ServerUnreachableError,
)
from agir_cvtoolkit.sandbox import Sandbox
from agir_cvtoolkit.sandbox.oracle import OracleReport, correct_task

from .plain import Plain, pictures, rectangle, shapes

pytestmark = pytest.mark.integration

_SIZE = (64, 48)
_WHO = ("admin", "admin123")


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    return shared_sandbox


def _mask(*boxes: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    mask = np.zeros((_SIZE[1], _SIZE[0]), dtype=np.bool_)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    return mask


def _points(mask: NDArray[np.bool_]) -> list[int]:
    """Run lengths over the whole picture, the plainest way there is."""
    runs, value = [0], False
    for pixel in mask.ravel().tolist():
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return [*runs, 0, 0, _SIZE[0] - 1, _SIZE[1] - 1]


def _pixels(points: list[float]) -> NDArray[np.bool_]:
    left, top, right, bottom = (int(v) for v in points[-4:])
    flat: list[bool] = []
    for i, run in enumerate(points[:-4]):
        flat += [bool(i % 2)] * int(run)
    mask = _mask()
    mask[top : bottom + 1, left : right + 1] = np.reshape(flat, (bottom - top + 1, right - left + 1))
    return mask


def _task(plain: Plain, count: int, **spec: Any) -> tuple[dict[str, Any], dict[str, int]]:
    labels = [{"name": "wheat"}, {"name": "weed"}, {"name": "outline", "type": "polygon"}]
    project = plain.project(labels)
    task = plain.task(pictures(count, _SIZE), project_id=project["id"], spec=spec)
    return task, {name: label["id"] for name, label in plain.labels(project["id"]).items()}


def _put(plain: Plain, task: dict[str, Any], *items: dict[str, Any]) -> list[dict[str, Any]]:
    return list(plain("PUT", f"/api/tasks/{task['id']}/annotations/", shapes(*items)).json["shapes"])


def _get(plain: Plain, task: dict[str, Any]) -> list[dict[str, Any]]:
    return list(plain("GET", f"/api/tasks/{task['id']}/annotations/").json["shapes"])


def _masked(label: int, frame: int, mask: NDArray[np.bool_]) -> dict[str, Any]:
    return {"type": "mask", "frame": frame, "label_id": label, "points": _points(mask), "source": "auto"}


def test_the_whole_work(sandbox: Sandbox, plain: Plain) -> None:
    task, labels = _task(plain, 5, segment_size=2)
    truth = {
        "f00.png": _mask((10, 10, 40, 40)),
        "f01.png": _mask((10, 10, 40, 40)),
        "f02.png": _mask((5, 5, 20, 20)),
        "f03.png": _mask(),
    }
    wheat = labels["wheat"]
    before = _put(
        plain,
        task,
        _masked(wheat, 0, truth["f00.png"]),
        _masked(wheat, 1, _mask((10, 10, 30, 40))),
        _masked(wheat, 3, _mask((1, 1, 9, 9))),
        _masked(wheat, 4, _mask((1, 1, 9, 9))),
    )
    report = correct_task(sandbox.url, _WHO, task["id"], truth.get, lambda _: "wheat")
    assert report == OracleReport(
        frames=4, accepted=1, edited=1, added=1, deleted=1, pixels_changed=10 * 30 + 15 * 15 + 8 * 8
    )
    after = {shape["frame"]: shape for shape in _get(plain, task)}
    assert set(after) == {0, 1, 2, 4}
    assert after[0] == before[0]
    assert (after[1]["id"], after[1]["source"]) == (before[1]["id"], "semi-auto")
    assert np.array_equal(_pixels(after[1]["points"]), truth["f01.png"])
    assert after[2]["source"] == "manual"
    assert np.array_equal(_pixels(after[2]["points"]), truth["f02.png"])
    assert after[4] == before[3], "a frame without a truth is left alone"
    states = {job["state"] for job in plain("GET", f"/api/jobs?task_id={task['id']}").json["results"]}
    assert states == {"completed"}


def test_a_second_look_changes_nothing(sandbox: Sandbox, plain: Plain) -> None:
    task, labels = _task(plain, 1)
    truth = _mask((10, 10, 40, 40))
    _put(plain, task, _masked(labels["wheat"], 0, _mask((10, 10, 30, 40))))
    correct_task(sandbox.url, _WHO, task["id"], lambda _: truth, complete=False)
    once = _get(plain, task)
    report = correct_task(sandbox.url, _WHO, task["id"], lambda _: truth, complete=False)
    assert (report.accepted, report.edited) == (1, 0)
    assert _get(plain, task) == once
    assert plain("GET", "/api/jobs").json["results"][0]["state"] == "new"


def test_a_wrong_label_is_corrected(sandbox: Sandbox, plain: Plain) -> None:
    task, labels = _task(plain, 1)
    truth = _mask((10, 10, 40, 40))
    _put(plain, task, _masked(labels["weed"], 0, truth))
    report = correct_task(sandbox.url, _WHO, task["id"], lambda _: truth, lambda _: "wheat")
    assert (report.edited, report.pixels_changed) == (1, 0)
    assert _get(plain, task)[0]["label_id"] == labels["wheat"]


def test_polygons_stay_polygons(sandbox: Sandbox, plain: Plain) -> None:
    task, labels = _task(plain, 1)
    corners = [10, 10, 30, 10, 30, 40, 10, 40]
    before = _put(plain, task, rectangle(labels["outline"], 0) | {"type": "polygon", "points": corners})
    report = correct_task(sandbox.url, _WHO, task["id"], lambda _: _mask((10, 10, 40, 40), (50, 5, 60, 15)))
    assert (report.edited, report.added) == (1, 0)
    after = _get(plain, task)
    assert [shape["type"] for shape in after] == ["polygon", "polygon"]
    assert before[0]["id"] in {shape["id"] for shape in after}


def test_several_classes(sandbox: Sandbox, plain: Plain) -> None:
    task, labels = _task(plain, 1)
    truth = np.where(_mask((5, 5, 20, 20)), 1, 0).astype(np.uint8)
    truth[_mask((30, 5, 50, 40))] = 2
    _put(plain, task, _masked(labels["wheat"], 0, _mask((5, 5, 20, 20))))
    report = correct_task(
        sandbox.url, _WHO, task["id"], lambda _: truth, class_labels={1: "wheat", 2: "weed"}
    )
    assert (report.accepted, report.added) == (1, 1)
    assert {shape["label_id"] for shape in _get(plain, task)} == {labels["wheat"], labels["weed"]}


def test_boxes(sandbox: Sandbox, plain: Plain) -> None:
    task, labels = _task(plain, 1)
    wheat = labels["wheat"]
    _put(
        plain,
        task,
        rectangle(wheat, 0, (1, 1, 11, 11)),
        rectangle(wheat, 0, (20, 20, 30, 30)),
        rectangle(wheat, 0, (50, 1, 60, 9)),
    )
    truth = [(1.0, 1.0, 11.0, 12.0), (23.0, 20.0, 34.0, 30.0), (40.0, 40.0, 64.0, 48.0)]
    report = correct_task(sandbox.url, _WHO, task["id"], lambda _: None, boxes=lambda _: truth, seed=3)
    assert (report.accepted, report.edited, report.added, report.deleted) == (1, 1, 1, 1)
    for found in (shape["points"] for shape in _get(plain, task)):
        assert any(np.abs(np.subtract(found, box)).max() <= 1 for box in truth)
        assert min(found) >= 0
        assert found[2] <= _SIZE[0]
        assert found[3] <= _SIZE[1]


def test_what_cannot_be(sandbox: Sandbox, plain: Plain) -> None:
    task, _ = _task(plain, 1)
    with pytest.raises(AuthenticationError, match="admin"):
        correct_task(sandbox.url, ("admin", "nope"), task["id"], lambda _: None)
    with pytest.raises(NotFoundError):
        correct_task(sandbox.url, _WHO, 999, lambda _: None)
    with pytest.raises(MaskError, match=r"f00\.png"):
        correct_task(sandbox.url, _WHO, task["id"], lambda _: np.ones((2, 2), dtype=np.bool_))
    with pytest.raises(LabelError, match="Label 'oats' not in task"):
        correct_task(sandbox.url, _WHO, task["id"], lambda _: _mask((1, 1, 9, 9)), lambda _: "oats")
    with pytest.raises(ServerUnreachableError):
        correct_task("http://127.0.0.1:9", _WHO, task["id"], lambda _: None)
