"""Pictures and masks that are broken, and questions without an answer: each is named, the rest goes on."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agir_cvtoolkit.pictures import save_png

from .plants import draw, save
from .workspace import Workspace

pytestmark = pytest.mark.integration


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def text(path: Path) -> None:
    path.write_text("not a picture", encoding="utf-8")


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def page(path: Path) -> None:
    path.write_text("<html><body>404</body></html>", encoding="utf-8")


def gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("breaking", [truncated, text, nothing, page, gone])
@pytest.mark.parametrize("source", ["segmentations", "detections"])
def test_a_broken_picture_is_listed_and_the_rest_goes_on(
    workspace: Workspace, breaking: Callable[[Path], None], source: str
) -> None:
    breaking(workspace.root / "pictures" / "images" / "img_1.png")
    workspace.cli("query", "--db", "semif")
    boxes = source == "detections"
    if boxes:
        outcome = workspace.cli("upload-cvat", "-o", "cvat_upload.source.type=detections", code=1)
    else:
        outcome = workspace.cli("infer-seg", code=1)
        workspace.upload()
    assert "Could not load image for record img_1" in outcome.stderr
    stage = workspace.metrics()["upload-cvat"]
    assert stage["total_records"] == (6 if boxes else 2)
    assert stage["uploaded_annotations"] == (4 if boxes else 2)
    assert stage["skipped"] == (2 if boxes else 0)
    names = [frame["name"] for frame in workspace.frames(stage["task_id"])]
    assert names == ["img_0.png", "img_2.png"]


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP", "TIFF", "GIF"])
def test_a_picture_whose_name_lies_about_its_kind(empty: Workspace, kind: str) -> None:
    """It is taken for what it is, and goes to the server under a name that tells the truth."""
    path = empty.add("img_0", draw(0), "images/img_0.jpg")
    buffer = io.BytesIO()
    Image.fromarray(draw(0).rgb).save(buffer, kind)
    path.write_bytes(buffer.getvalue())
    empty.database()
    empty.predicted()
    result = empty.upload()
    assert [frame["name"] for frame in empty.frames(result["task_id"])] == ["img_0.png"]
    (shape,) = empty.shapes(result["task_id"])
    assert shape["type"] == "mask"


def mask_of(workspace: Workspace, record_id: str) -> Path:
    return workspace.run / str(workspace.manifest()[record_id]["mask_path"])


def small(path: Path) -> None:
    save_png(np.full((10, 10), 255, dtype=np.uint8), path)


@pytest.mark.parametrize("breaking", [truncated, text, nothing, gone, small])
def test_a_broken_mask_fails_and_the_rest_goes_on(
    predicted: Workspace, breaking: Callable[[Path], None]
) -> None:
    path = mask_of(predicted, "img_1")
    if breaking is truncated:
        path.write_bytes(path.read_bytes()[:60])
    else:
        breaking(path)
    outcome = predicted.cli("upload-cvat", code=1)
    assert "failed: img_1" in outcome.stderr
    assert "mask" in outcome.stderr
    stage = predicted.metrics()["upload-cvat"]
    assert (stage["uploaded_annotations"], stage["skipped"], stage["failed"]) == (2, 0, 1)
    assert [item["record_id"] for item in stage["items"]] == ["img_1"]
    names = [frame["name"] for frame in predicted.frames(stage["task_id"])]
    assert names == ["img_0.png", "img_2.png"]


def test_the_mended_record_joins(predicted: Workspace) -> None:
    path = mask_of(predicted, "img_1")
    content = path.read_bytes()
    path.unlink()
    predicted.upload(code=1)
    path.write_bytes(content)
    result = predicted.upload()
    assert (result["uploaded_annotations"], [t["records"] for t in result["tasks"]]) == (3, [2, 1])


def test_an_empty_query(workspace: Workspace) -> None:
    outcome = workspace.cli("query", "--db", "semif", "--filters", "state=ZZ", code=2)
    assert "o record matches; no run was started" in outcome.stderr
    outcome = workspace.cli("infer-seg", code=2)
    assert "agir-cvtoolkit query" in outcome.stderr
    for source in ("segmentations", "detections"):
        outcome = workspace.cli("upload-cvat", "-o", f"cvat_upload.source.type={source}", code=2)
        assert "Error: " in outcome.stderr
        assert "This is a bug" not in outcome.stderr
    assert workspace.tasks() == []


def test_no_run_at_all(empty: Workspace) -> None:
    for command in ("infer-seg", "upload-cvat", "download-cvat", "preprocess", "train"):
        outcome = empty.cli(command, code=2)
        assert "agir-cvtoolkit query" in outcome.stderr, command


def test_a_box_outside_its_picture_fails_alone(empty: Workspace) -> None:
    empty.fill(2)
    empty.rows[0]["bbox_xywh"] = "[5000, 5000, 10, 10]"
    empty.rows[3]["bbox_xywh"] = "[0, 0, 0, 0]"
    empty.database()
    empty.cli("query", "--db", "semif")
    outcome = empty.cli("upload-cvat", "-o", "cvat_upload.source.type=detections", code=1)
    stage = empty.metrics()["upload-cvat"]
    assert (stage["total_records"], stage["uploaded_annotations"], stage["failed"]) == (4, 2, 2)
    assert stage["shapes"] == 2
    assert "img_0" in outcome.stderr
    assert "img_1_1" in outcome.stderr


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("cvat_upload.mask_strategy=polygons", "mask_strategy"),
        ("cvat_upload.project_id=abc", "project_id"),
        ("cvat_upload.task_nam=x", "task_name"),
        ("cvat_upload.images_per_task=0", "images_per_task"),
        ("cvat_upload.source.type=boxes", "source.type"),
        ("cvat_upload.label_map={_class: weed}", "label_map._class"),
    ],
)
def test_a_wrong_setting_is_named(predicted: Workspace, word: str, said: str) -> None:
    predicted.sandbox.forget_requests()
    outcome = predicted.cli("upload-cvat", "-o", word, code=2)
    assert said in outcome.stderr
    assert list(predicted.sandbox.requests()) == []


def test_a_damaged_manifest_is_named(predicted: Workspace) -> None:
    path = predicted.run / "manifest.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([lines[0], "{broken", *lines[1:]]) + "\n", encoding="utf-8")
    outcome = predicted.cli("upload-cvat", code=4)
    assert "manifest.jsonl line 2" in outcome.stderr
    path.write_text("\n".join(lines)[:-30], encoding="utf-8")
    assert predicted.upload()["uploaded_annotations"] == 2


def test_a_manifest_that_leads_out_of_the_run(predicted: Workspace) -> None:
    secret = predicted.root / "secret.png"
    save(draw(4), secret)
    path = predicted.run / "manifest.jsonl"
    path.write_text(
        path.read_text(encoding="utf-8").replace("images/img_1.png", "../../../secret.png"), encoding="utf-8"
    )
    outcome = predicted.cli("upload-cvat", code=None)
    assert outcome.code in {1, 4}
    assert "leads out of" in outcome.stderr
    for task in predicted.tasks():
        assert "secret" not in str(predicted.frames(task["id"]))


def test_a_damaged_frame_map_is_named(predicted: Workspace) -> None:
    task_id = predicted.upload()["task_id"]
    predicted.complete(task_id)
    predicted.cli("download-cvat")
    path = next((predicted.run / "cvat_downloads").glob("*/frame_map.json"))
    path.write_text("{", encoding="utf-8")
    outcome = predicted.cli("preprocess", code=4)
    assert "frame_map.json" in outcome.stderr


def test_pulled_masks_that_were_removed_are_read_again(predicted: Workspace) -> None:
    task_id = predicted.upload()["task_id"]
    predicted.complete(task_id)
    predicted.cli("download-cvat")
    kept = predicted.pulled(task_id)
    for path in (predicted.run / "cvat_downloads").glob("*/masks/*.png"):
        path.unlink()
    predicted.cli("download-cvat")
    again = predicted.pulled(task_id)
    assert set(kept) == set(again)
    for record_id, mask in kept.items():
        other = again[record_id]
        assert mask is not None
        assert other is not None
        assert np.array_equal(mask, other)


def test_pictures_that_were_not_saved_are_taken_from_their_source_if_unchanged(workspace: Workspace) -> None:
    workspace.cli("query", "--db", "semif")
    workspace.cli("infer-seg", "-o", "seg_inference.output.save_images=false")
    assert not (workspace.run / "images").exists()
    save(draw(99), workspace.root / "pictures" / "images" / "img_1.png")
    outcome = workspace.cli("upload-cvat", code=1)
    assert "picture img_1.png was changed after infer-seg" in outcome.stderr
    stage = workspace.metrics()["upload-cvat"]
    assert (stage["uploaded_annotations"], stage["failed"]) == (2, 1)
    workspace.complete(stage["task_id"])
    workspace.cli("download-cvat")
    (folder,) = (workspace.run / "cvat_downloads").glob("*/")
    assert not (folder / "images").exists(), "the sources are still what was pushed"
    source = workspace.root / "pictures" / "images" / "img_0.png"
    pushed = source.read_bytes()
    save(draw(98), source)
    workspace.cli("download-cvat")
    assert [path.name for path in (folder / "images").iterdir()] == ["img_0.png"]
    assert (folder / "images" / "img_0.png").read_bytes() == pushed
    workspace.cli("preprocess")
    assert workspace.metrics()["preprocess"]["pairs"] == 2
