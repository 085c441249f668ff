"""Pictures that the server reaches itself, jobs that are given out, and what a push tells the server to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agir_cvtoolkit.pictures import load_rgb, save_png
from agir_cvtoolkit.sandbox import Fault, Sandbox, SandboxOptions

from .workspace import Json, Workspace

pytestmark = pytest.mark.integration


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A server whose share, and whose bucket, is the folder of the user's pictures."""
    options = SandboxOptions(
        tmp_path / "sandbox",
        anonymous_limit=1_000_000,
        users=(("annabel", "x"), ("bobby", "y")),
        share=tmp_path / "pictures",
        buckets={"pics": tmp_path / "pictures"},
    )
    with Sandbox(options) as running:
        yield running


@pytest.fixture
def unsaved(workspace: Workspace) -> Workspace:
    """Predicted, and no picture lies in the run."""
    workspace.cli("query", "--db", "semif")
    workspace.cli("infer-seg", "-o", "seg_inference.output.save_images=false")
    assert not (workspace.run / "images").exists()
    return workspace


def by_share(workspace: Workspace, **settings: object) -> None:
    share = {"root": str(workspace.root / "pictures")}
    workspace.conf("cvat_upload", {"transport": "share", "share": share, **settings})


def by_cloud(workspace: Workspace, settings: Json | None = None, **cloud: object) -> int:
    bucket = {
        "provider_type": "AWS_S3_BUCKET",
        "resource": "pics",
        "display_name": "Pictures",
        "credentials_type": "ANONYMOUS_ACCESS",
    }
    storage_id = int(workspace.plain("POST", "/api/cloudstorages", bucket).json["id"])
    known = {"storage_id": storage_id, "root": str(workspace.root / "pictures"), **cloud}
    workspace.conf("cvat_upload", {"transport": "cloud", "cloud": known, **(settings or {})})
    return storage_id


def sent(workspace: Workspace) -> list[Any]:
    """Return what was told the server of the data of tasks."""
    return [s for s in workspace.sandbox.requests() if s.method == "POST" and "/data/" in s.target]


def turned(workspace: Workspace, image_id: str) -> None:
    """Make a record's picture one that EXIF turns."""
    path = workspace.root / "pictures" / "images" / f"{image_id}.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(load_rgb(path)).save(path, exif=exif)


# --- share --------------------------------------------------------------------------------------------------


def test_pictures_on_the_share_are_named_and_not_sent(unsaved: Workspace) -> None:
    by_share(unsaved)
    unsaved.sandbox.forget_requests()
    done = unsaved.upload()
    assert done["uploaded_annotations"] == 3
    (task,) = unsaved.tasks()
    names = [frame["name"] for frame in unsaved.frames(task["id"])]
    assert names == ["images/img_0.png", "images/img_1.png", "images/img_2.png"]
    assert len(sent(unsaved)) == 1, "one request names them all"
    assert not (unsaved.run / "images").exists(), "the run needs no copy"
    assert sorted({shape["frame"] for shape in unsaved.shapes(task["id"])}) == [0, 1, 2]


def test_what_people_did_in_a_share_task_comes_back_with_its_pictures(unsaved: Workspace) -> None:
    by_share(unsaved)
    task_id = unsaved.upload()["task_id"]
    unsaved.complete(task_id)
    unsaved.cli("download-cvat")
    masks = unsaved.pulled(task_id)
    assert set(masks) == {"img_0", "img_1", "img_2"}
    for record_id, mask in masks.items():
        assert mask is not None
        assert np.array_equal(mask > 0, unsaved.predicted_mask(record_id) > 0)
    unsaved.cli("preprocess")
    assert len(list((unsaved.run / "dataset").rglob("*img_*"))) > 0


def test_pushing_again_from_the_share_changes_nothing(unsaved: Workspace) -> None:
    by_share(unsaved)
    unsaved.upload()
    unsaved.sandbox.forget_requests()
    again = unsaved.upload()
    assert again["already_there"] == 3
    assert unsaved.writes() == []


def test_a_picture_that_the_server_does_not_see_is_named_before_anything_is_made(
    unsaved: Workspace, tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror" / "images"
    mirror.mkdir(parents=True)
    shutil.copy(unsaved.root / "pictures" / "images" / "img_0.png", mirror)
    object.__setattr__(unsaved.sandbox.options, "share", mirror.parent)
    by_share(unsaved)
    unsaved.sandbox.forget_requests()
    outcome = unsaved.cli("upload-cvat", code=4)
    assert "Not in the server's share: 'images/img_1.png', 'images/img_2.png'" in outcome.stderr
    assert unsaved.writes() == []
    unsaved.cli("upload-cvat", "--dry-run", code=4)
    mirror.joinpath("img_0.png").unlink()
    mirror.rmdir()
    assert "'images/img_0.png'" in unsaved.cli("upload-cvat", code=4).stderr


def test_a_share_task_with_a_file_that_vanished_leaves_no_task(unsaved: Workspace) -> None:
    by_share(unsaved)
    unsaved.sandbox.add_fault(Fault(r"/api/server/share", status=403, body="json", times=0))
    unsaved.sandbox.options.share.rename(unsaved.root / "away")  # type: ignore[union-attr]
    (unsaved.root / "pictures").mkdir()
    unsaved.cli("upload-cvat", code=4)
    assert unsaved.tasks() == []
    (unsaved.root / "pictures").rmdir()
    (unsaved.root / "away").rename(unsaved.root / "pictures")
    unsaved.upload()
    assert len(unsaved.tasks()) == 1


def test_another_picture_at_the_servers_place_is_found_and_leaves_no_task(
    unsaved: Workspace, tmp_path: Path
) -> None:
    """The share here and the share there are not the same folder: names and sizes fit, pixels do not."""
    mirror = tmp_path / "mirror" / "images"
    mirror.mkdir(parents=True)
    for path in sorted((unsaved.root / "pictures" / "images").iterdir()):
        save_png(255 - load_rgb(path), mirror / path.name)
    object.__setattr__(unsaved.sandbox.options, "share", mirror.parent)
    by_share(unsaved)
    outcome = unsaved.cli("upload-cvat", code=4)
    assert "on the server is another than" in outcome.stderr
    assert unsaved.tasks() == []


@pytest.mark.parametrize("how", ["turned", "outside", "changed"])
def test_pictures_that_lie_only_here_are_an_error_or_go_into_tasks_of_their_own(
    workspace: Workspace, how: str
) -> None:
    if how == "turned":
        turned(workspace, "img_1")
    workspace.predicted()
    if how == "changed":
        path = workspace.root / "pictures" / "images" / "img_1.png"
        save_png(255 - load_rgb(path), path)
    root = workspace.root / "pictures"
    if how == "outside":
        path = root / "images" / "img_1.png"
        path.rename(workspace.root / "img_1.png")
        manifest = workspace.run / "manifest.jsonl"
        manifest.write_text(manifest.read_text().replace(str(path), str(workspace.root / "img_1.png")))
    by_share(workspace)
    outcome = workspace.cli("upload-cvat", code=4)
    assert "record img_1: " in outcome.stderr
    assert "img_0" not in outcome.stderr
    assert "unreachable=bytes" in outcome.stderr
    assert workspace.tasks() == []
    by_share(workspace, unreachable="bytes")
    done = workspace.upload()
    assert done["uploaded_annotations"] == 3
    names = [[frame["name"] for frame in workspace.frames(task["task_id"])] for task in done["tasks"]]
    assert sorted(names) == [["images/img_0.png", "images/img_2.png"], ["img_1.png"]]
    assert all(frame["shapes"] for frame in workspace.metrics()["upload-cvat"].get("frames", []))


def test_a_root_that_holds_none_of_the_pictures_is_said_whatever_is_asked_for(unsaved: Workspace) -> None:
    (unsaved.root / "wrong").mkdir()
    share = {"root": str(unsaved.root / "wrong")}
    unsaved.conf("cvat_upload", {"transport": "share", "share": share, "unreachable": "bytes"})
    outcome = unsaved.cli("upload-cvat", code=4)
    assert "cvat_upload.share.root" in outcome.stderr
    assert unsaved.tasks() == []


def test_a_killed_push_from_the_share_is_ended_by_the_next(unsaved: Workspace) -> None:
    by_share(unsaved)
    unsaved.sandbox.add_fault(Fault(r"/api/jobs/\d+/annotations", times=0))
    unsaved.sandbox.add_fault(Fault(r"/api/tasks/\d+$", method="DELETE", times=0))
    unsaved.cli("upload-cvat", code=3)
    unsaved.sandbox.faults.replace(())
    unsaved.upload()
    (task,) = unsaved.tasks()
    assert sorted({shape["frame"] for shape in unsaved.shapes(task["id"])}) == [0, 1, 2]


def test_boxes_of_pictures_on_the_share_need_no_copy_either(workspace: Workspace) -> None:
    workspace.cli("query", "--db", "semif")
    by_share(workspace, source={"type": "detections", "db": "semif"})
    dry = json.loads(workspace.cli("upload-cvat", "--json", "--dry-run").stdout)
    done = workspace.upload()
    assert dry["uploaded_annotations"] == done["uploaded_annotations"] > 0
    assert not (workspace.run / "images").exists()
    (task,) = workspace.tasks()
    assert workspace.frames(task["id"])[0]["name"] == "images/img_0.png"


# --- cloud --------------------------------------------------------------------------------------------------


def test_pictures_in_a_bucket_are_named_by_their_keys_and_its_manifest_is_written(unsaved: Workspace) -> None:
    by_cloud(unsaved, write_manifest=True)
    done = unsaved.upload()
    assert done["uploaded_annotations"] == 3
    (task,) = unsaved.tasks()
    assert [frame["name"] for frame in unsaved.frames(task["id"])] == [
        f"images/img_{n}.png" for n in range(3)
    ]
    lines = (unsaved.root / "pictures" / "manifest.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines[:2]] == [{"version": "1.1"}, {"type": "images"}]
    first = json.loads(lines[2])
    assert (first["name"], first["extension"]) == ("images/img_0", ".png")
    unsaved.complete(task["id"])
    unsaved.cli("download-cvat")
    assert set(unsaved.pulled(task["id"])) == {"img_0", "img_1", "img_2"}


def test_a_missing_manifest_or_key_is_said_before_and_what_to_put_there(unsaved: Workspace) -> None:
    by_cloud(unsaved)
    unsaved.sandbox.forget_requests()
    outcome = unsaved.cli("upload-cvat", code=3)
    assert "has no manifest 'manifest.jsonl'" in outcome.stderr
    told = unsaved.run / "cvat_manifest.jsonl"
    assert str(told) in outcome.stderr
    assert unsaved.writes() == []
    lines = told.read_text().splitlines()
    (unsaved.root / "pictures" / "manifest.jsonl").write_text("\n".join([*lines[:3], ""]))
    outcome = unsaved.cli("upload-cvat", code=4)
    assert "'images/img_1.png', 'images/img_2.png'" in outcome.stderr
    assert unsaved.tasks() == []
    (unsaved.root / "pictures" / "manifest.jsonl").write_text(told.read_text())
    assert unsaved.upload()["uploaded_annotations"] == 3


def test_a_bucket_without_manifest_and_with_a_prefix(workspace: Workspace) -> None:
    nested = workspace.root / "pictures" / "2026" / "june"
    nested.mkdir(parents=True)
    (workspace.root / "pictures" / "images").rename(nested / "images")
    for row in workspace.rows:
        for name, value in row.items():
            if isinstance(value, str) and value.startswith("images/"):
                row[name] = f"2026/june/{value}"
    workspace.database()
    workspace.cli("query", "--db", "semif")
    workspace.cli("infer-seg")
    by_cloud(workspace, manifest=None, prefix="2026/", root=str(workspace.root / "pictures" / "2026"))
    workspace.upload()
    (task,) = workspace.tasks()
    assert workspace.frames(task["id"])[0]["name"] == "2026/june/images/img_0.png"


def test_a_storage_that_is_not_registered_is_named_with_those_that_are(unsaved: Workspace) -> None:
    known = by_cloud(unsaved)
    by_cloud(unsaved, storage_id=4711)
    outcome = unsaved.cli("upload-cvat", code=3)
    assert "Cloud storage 4711 not found" in outcome.stderr
    assert f"{known} (Pictures: pics)" in outcome.stderr


def test_a_manifest_that_claims_another_size_is_found(unsaved: Workspace) -> None:
    """The server believes a manifest; shapes would not fit."""
    by_cloud(unsaved, write_manifest=True)
    unsaved.cli("upload-cvat", "--dry-run")
    by_cloud(unsaved)
    unsaved.cli("upload-cvat", code=3)
    text = (unsaved.run / "cvat_manifest.jsonl").read_text()
    width = json.loads(text.splitlines()[2])["width"]
    manifest = unsaved.root / "pictures" / "manifest.jsonl"
    manifest.write_text(text.replace(f'"width":{width}', f'"width":{width * 10}'))
    outcome = unsaved.cli("upload-cvat", code=4)
    assert f"{width * 10}x" in outcome.stderr
    assert unsaved.tasks() == []


# --- people, subsets, chunks --------------------------------------------------------------------------------


def test_jobs_are_given_out_in_turn_over_all_tasks_and_look_untouched(predicted: Workspace) -> None:
    project = predicted.project("weed")
    settings = {"project_id": project, "assignees": ["annabel", "bobby"], "subset": "Train"}
    predicted.conf("cvat_upload", {**settings, "images_per_task": 2, "segment_size": 2})
    done = predicted.upload()
    people = [
        (job["assignee"] or {}).get("username")
        for task in done["tasks"]
        for job in predicted.jobs(task["task_id"])
    ]
    assert people == ["annabel", "bobby"]
    assert {task["subset"] for task in predicted.tasks()} == {"Train"}
    predicted.sandbox.forget_requests()
    predicted.upload()
    assert predicted.writes() == []
    again = predicted.upload("-o", "cvat_upload.per_component=true")
    assert (again["replaced"], again["left_alone"]) == (3, 0), "a job that was given out is not touched"


def test_an_unknown_assignee_is_an_error_before_anything_is_made(predicted: Workspace) -> None:
    predicted.conf("cvat_upload", {"assignees": ["anabel"]})
    predicted.sandbox.forget_requests()
    outcome = predicted.cli("upload-cvat", code=3)
    assert "User 'anabel' not found" in outcome.stderr
    assert "Did you mean 'annabel'?" in outcome.stderr
    assert predicted.writes() == []
    predicted.cli("upload-cvat", "--dry-run", code=3)


@pytest.mark.parametrize("action", ["cut_before", "cut_after", "status"])
def test_a_lost_answer_while_jobs_are_given_out(predicted: Workspace, action: str) -> None:
    predicted.conf("cvat_upload", {"assignees": ["annabel", "bobby"], "segment_size": 2})
    predicted.sandbox.add_fault(Fault(r"/api/jobs/\d+$", action, method="PATCH", status=502))  # type: ignore[arg-type]
    task_id = predicted.upload()["task_id"]
    assert [job["assignee"]["username"] for job in predicted.jobs(task_id)] == ["annabel", "bobby"]


def test_a_chunk_holds_as_many_pixels_as_a_browser_should_wait_for(predicted: Workspace) -> None:
    task_id = predicted.upload()["task_id"]
    assert predicted.task(task_id)["data_chunk_size"] == 36
    predicted.conf("cvat_upload", {"task_name": "other", "chunk_size": 2, "image_quality": 80})
    other = predicted.task(predicted.upload()["task_id"])
    assert (other["data_chunk_size"], other["image_quality"]) == (2, 80)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"transport": "share"}, "share.root"),
        ({"transport": "cloud", "cloud": {"root": "x"}}, "cloud.storage_id"),
        ({"transport": "cloud", "cloud": {"root": "s3://pics/x", "storage_id": 1}}, "is an address"),
        ({"subset": "x" * 65}, "subset"),
        ({"cloud": {"manifest": "list.txt"}}, "manifest"),
    ],
)
def test_settings_that_cannot_be_meant(predicted: Workspace, settings: Json, text: str) -> None:
    predicted.conf("cvat_upload", settings)
    assert text in predicted.cli("upload-cvat", code=2).stderr


def test_links_below_the_root_are_followed_where_they_lead_there(unsaved: Workspace) -> None:
    (unsaved.root / "mounted").symlink_to(unsaved.root / "pictures")
    unsaved.conf("cvat_upload", {"transport": "share", "share": {"root": str(unsaved.root / "mounted")}})
    assert unsaved.upload()["uploaded_annotations"] == 3
