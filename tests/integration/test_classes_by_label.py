"""A label that comes first and one that joins later: both are learned, predicted and pushed as themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("lightning")

from agir_cvtoolkit import masks
from agir_cvtoolkit.inference.predictor import RGB, Band
from agir_cvtoolkit.models.card import read_card

from .workspace import Workspace

pytestmark = pytest.mark.integration

Truth = dict[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Expert:
    """What a well trained model of these classes would find: weed is the ring, crop the leaf."""

    classes: tuple[str, ...]
    class_ids: tuple[int, ...]
    name: str = "expert"
    needs_tiles: Literal[False] = False

    def predict_bands(self, rgb: RGB) -> Iterator[Band]:
        found = split(np.asarray(rgb[..., 1].astype(int) - rgb[..., 0] > 40))
        index = np.zeros(rgb.shape[:2], dtype=np.uint8)
        for name, part in found.items():
            index[part] = self.classes.index(name)
        yield Band(0, np.stack([index == i for i in range(len(self.classes))]).astype(np.float32))


def split(plant: NDArray[np.bool_]) -> Truth:
    left = np.arange(plant.shape[1]) < plant.shape[1] * 0.55
    return {"weed": plant & left, "crop": plant & ~left}


def add_crop(workspace: Workspace, task_id: int) -> None:
    """Do what a person does who finds that half of the weeds are a crop."""
    ids = {name: number for number, name in workspace.labels(task_id).items()}
    shapes = []
    for number, frame in enumerate(workspace.frames(task_id)):
        truth = workspace.plots[frame["name"].split(".")[0]].truth
        for name, part in split(truth).items():
            piece = masks.encode(part)
            assert piece is not None
            points = [*piece.lengths.tolist(), *piece.box]
            shapes.append(
                {"type": "mask", "frame": number, "label_id": ids[name], "points": points, "attributes": []}
            )
    content: dict[str, Any] = {"version": 0, "tags": [], "tracks": [], "shapes": shapes}
    got = workspace.plain("PUT", f"/api/tasks/{task_id}/annotations/", content)
    assert got.status == 200, got.data


def table(workspace: Workspace) -> dict[str, int]:
    content = json.loads((workspace.run / "dataset" / "classes.json").read_text(encoding="utf-8"))
    return {c["name"]: c["id"] for c in content["classes"]}


def pushed(workspace: Workspace, task_id: int) -> dict[str, Truth]:
    names, frames = workspace.labels(task_id), workspace.frames(task_id)
    found: dict[str, Truth] = {frame["name"].split(".")[0]: {} for frame in frames}
    for shape in workspace.shapes(task_id):
        frame = frames[shape["frame"]]
        *lengths, left, top, right, bottom = (int(value) for value in shape["points"])
        part = np.zeros((frame["height"], frame["width"]), dtype=bool)
        box = masks.Runs(np.array(lengths), (0, 0, right - left, bottom - top))
        part[top : bottom + 1, left : right + 1] = masks.decode(box, (right - left + 1, bottom - top + 1))
        found[frame["name"].split(".")[0]][names[shape["label_id"]]] = part
    return found


def test_a_label_with_255_and_one_that_joined_later(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.conf("cvat_upload", {"labels": ["weed", "crop"]})
    workspace.predicted()
    first = workspace.upload()["task_id"]
    workspace.complete(first)
    workspace.cli("download-cvat")
    assert table(workspace) == {"background": 0, "weed": 255}
    add_crop(workspace, first)
    workspace.cli("download-cvat")
    assert table(workspace) == {"background": 0, "weed": 255, "crop": 1}

    workspace.cli("train", "-o", "preprocess.classes=labels")
    card = read_card(workspace.run / "model" / "card.json")
    assert (card.classes, card.class_ids) == (("background", "crop", "weed"), (0, 1, 255))

    monkeypatch.setattr(
        "agir_cvtoolkit.inference.registry.open_predictor",
        lambda *_: Expert(card.classes, card.class_ids),
    )
    workspace.cli("infer-seg")
    assert workspace.metrics()["infer-seg"]["classes"] == {"1": "crop", "255": "weed"}
    for record_id, plot in workspace.plots.items():
        mask = workspace.predicted_mask(record_id)
        parts = split(plot.truth)
        assert np.array_equal(mask == 255, parts["weed"])
        assert np.array_equal(mask == 1, parts["crop"])

    second = workspace.upload("-o", "cvat_upload.task_name=Round2")["task_id"]
    there = pushed(workspace, second)
    assert set(there) == set(workspace.plots)
    for record_id, plot in workspace.plots.items():
        for name, part in split(plot.truth).items():
            assert np.array_equal(there[record_id][name], part), (record_id, name)


def test_a_pull_without_news_is_the_same_pass(workspace: Workspace) -> None:
    workspace.conf("cvat_upload", {"labels": ["weed", "crop"]})
    workspace.predicted()
    task_id = workspace.upload()["task_id"]
    workspace.complete(task_id)
    for _ in range(2):
        workspace.cli("download-cvat")
        assert workspace.metrics()["download-cvat"]["pass"] == 1
    assert "download-cvat" not in workspace.metrics()["history"]
    add_crop(workspace, task_id)
    for _ in range(2):
        workspace.cli("download-cvat")
        assert workspace.metrics()["download-cvat"]["pass"] == 2
    assert [each["pass"] for each in workspace.metrics()["history"]["download-cvat"]] == [1]
    workspace.cli("download-cvat", "-o", "cvat_download.overwrite_existing=true")
    assert workspace.metrics()["download-cvat"]["pass"] == 2
