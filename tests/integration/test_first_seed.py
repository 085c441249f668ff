"""Every command line of the first seed as printed, and what it promises of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agir_cvtoolkit.sandbox.oracle import correct_task

from . import first_seed_lines as seed
from .first_seed_lines import SIX_FIELDS, commands
from .plants import draw
from .workspace import CREDENTIALS, Outcome, Workspace

pytestmark = pytest.mark.integration


def check_metrics(workspace: Workspace) -> dict[str, Any]:
    """Check the six fields of the seed, at the top and under the stage's name, and return them."""
    metrics = workspace.metrics()
    stage = metrics["upload-cvat"]
    assert {name: metrics[name] for name in SIX_FIELDS} == {name: stage[name] for name in SIX_FIELDS}
    total = stage["uploaded_annotations"] + stage["skipped"] + stage["failed"]
    assert stage["total_records"] == total
    assert sum(task["records"] for task in stage["tasks"]) == stage["uploaded_annotations"]
    if stage["tasks"]:
        first = stage["tasks"][0]
        assert (stage["task_id"], stage["task_url"]) == (first["task_id"], first["task_url"])
    return dict(stage)


def check_task_urls(workspace: Workspace, outcome: Outcome) -> list[int]:
    """Check that each task of the push is printed once as the seed prints it; return the ids."""
    stage = check_metrics(workspace)
    printed = [line for line in outcome.stdout.splitlines() if line.startswith("Task URL: ")]
    assert printed == [f"Task URL: {workspace.sandbox.url}/tasks/{t['task_id']}" for t in stage["tasks"]]
    assert printed
    return [task["task_id"] for task in stage["tasks"]]


def refine(workspace: Workspace, task_id: int) -> None:
    """Do what the annotators do."""
    truth = {name: plot.truth for name, plot in workspace.plots.items()}
    correct_task(workspace.sandbox.url, CREDENTIALS, task_id, lambda name: truth[Path(name).stem])


def test_basic_upload(workspace: Workspace) -> None:
    workspace.cli("query", "--db", "semif")
    infer, upload = commands(seed.BASIC)
    workspace.line(infer)
    outcome = workspace.line(upload)
    (task_id,) = check_task_urls(workspace, outcome)
    stage = check_metrics(workspace)
    assert (stage["total_records"], stage["uploaded_annotations"]) == (3, 3)
    assert (stage["shapes"], stage["negatives"]) == (3, 0)
    assert workspace.task(task_id)["project_id"] is None
    assert set(workspace.labels(task_id).values()) == {"weed"}
    assert {shape["type"] for shape in workspace.shapes(task_id)} == {"mask"}


def test_upload_to_an_existing_project_of_an_organization(predicted: Workspace) -> None:
    predicted.organization("PSA")
    project = predicted.project("weed", organization="PSA")
    (line,) = commands(seed.EXISTING_PROJECT, {"319384": str(project)})
    (task_id,) = check_task_urls(predicted, predicted.line(line))
    task = predicted.task(task_id)
    assert (task["project_id"], task["organization"] is None) == (project, False)
    assert len(predicted.shapes(task_id)) == 3


def test_standard_segmentation_upload(workspace: Workspace) -> None:
    query, infer, upload = commands(seed.STANDARD)
    workspace.line(query)
    workspace.line(infer)
    (task_id,) = check_task_urls(workspace, workspace.line(upload))
    assert [frame["name"] for frame in workspace.frames(task_id)] == ["img_0.png", "img_1.png"]


def test_upload_to_a_specific_project(predicted: Workspace) -> None:
    predicted.organization("my-org")
    project = predicted.project("weed", organization="my-org")
    (line,) = commands(seed.SPECIFIC_PROJECT, {"12345": str(project)})
    (task_id,) = check_task_urls(predicted, predicted.line(line))
    assert predicted.task(task_id)["project_id"] == project


def test_custom_task_name(predicted: Workspace) -> None:
    (line,) = commands(seed.TASK_NAME)
    (task_id,) = check_task_urls(predicted, predicted.line(line))
    assert predicted.task(task_id)["name"].startswith("Barley_Batch_2024-11 ")
    again = predicted.line(f"agir-cvtoolkit upload-cvat {seed.NAME_OPTION}")
    (other,) = check_task_urls(predicted, again)
    assert other != task_id
    assert predicted.task(other)["name"].startswith("Barley_NC_November_2024 ")


def test_detections(workspace: Workspace) -> None:
    """Boxes need no inference; one frame per picture holds all its boxes, scaled from the full resolution."""
    workspace.cli("query", "--db", "semif")
    (line,) = commands(seed.DETECTIONS)
    (task_id,) = check_task_urls(workspace, workspace.line(line))
    stage = check_metrics(workspace)
    assert (stage["total_records"], stage["shapes"], stage["negatives"]) == (6, 6, 0)
    names = [frame["name"] for frame in workspace.frames(task_id)]
    assert names == ["img_0.png", "img_1.png", "img_2.png"]
    shapes = workspace.shapes(task_id)
    for number, name in enumerate(names):
        found = sorted(tuple(s["points"]) for s in shapes if s["frame"] == number)
        boxes = workspace.plots[Path(name).stem].boxes
        assert found == sorted((x, y, x + w, y + h) for x, y, w, h in boxes)


def test_images_saved(workspace: Workspace) -> None:
    workspace.cli("query", "--db", "semif")
    (line,) = commands(seed.IMAGES_SAVED)
    workspace.line(line)
    for record_id in workspace.plots:
        source = workspace.root / "pictures" / "images" / f"{record_id}.png"
        assert (workspace.run / "images" / f"{record_id}.png").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("number", [0, 1])
def test_mask_strategies(predicted: Workspace, number: int) -> None:
    line = commands(seed.POLYGON_AND_MASK)[number]
    (task_id,) = check_task_urls(predicted, predicted.line(line))
    kinds = {shape["type"] for shape in predicted.shapes(task_id)}
    assert kinds == ({"polygon"}, {"mask"})[number]


def test_organization_and_personal_workspace(predicted: Workspace) -> None:
    predicted.organization("my-team")
    team, personal = commands(seed.ORGANIZATIONS)
    (first,) = check_task_urls(predicted, predicted.line(team))
    (second,) = check_task_urls(predicted, predicted.line(personal))
    assert predicted.task(first)["organization"] is not None
    assert predicted.task(second)["organization"] is None


def test_an_organization_that_is_not_set_is_that_of_the_project(predicted: Workspace) -> None:
    predicted.organization("PSA")
    project = predicted.project("weed", organization="PSA")
    result = predicted.upload("-o", f"cvat_upload.project_id={project}")
    assert result["organization_slug"] == "PSA"
    assert predicted.task(result["task_id"])["organization"] is not None


def test_null_is_the_personal_workspace_where_an_organizations_project_takes_no_task(
    predicted: Workspace,
) -> None:
    predicted.organization("PSA")
    project = predicted.project("weed", organization="PSA")
    words = ["-o", f"cvat_upload.project_id={project}", "-o", "cvat_upload.organization_slug=null"]
    outcome = predicted.cli("upload-cvat", *words, code=3)
    assert "belongs to organization 'PSA', not to the personal workspace" in outcome.stderr
    assert "Leave organization_slug unset" in outcome.stderr
    assert predicted.tasks() == []


@pytest.mark.slow
def test_full_annotation_workflow(workspace: Workspace) -> None:
    project = workspace.project("weed")
    lines = commands(seed.WORKFLOW, {"12345": str(project)})
    query, infer, upload, download, preprocess, train = lines
    workspace.line(query)
    workspace.line(infer)
    (task_id,) = check_task_urls(workspace, workspace.line(upload))
    workspace.line(download)
    assert workspace.metrics()["download-cvat"]["tasks_found"] == 0
    refine(workspace, task_id)
    workspace.line(download)
    workspace.line(preprocess)
    workspace.line(train)
    assert (workspace.run / "model" / "best.pth").is_file()
    card = json.loads((workspace.run / "model" / "card.json").read_text(encoding="utf-8"))
    assert card
    best = (workspace.run / "model" / "best.pth").read_bytes()
    again = json.loads(workspace.cli("train", "--json").stdout)
    assert again["state"] == "unchanged"
    assert (workspace.run / "model" / "best.pth").read_bytes() == best
    masks = workspace.pulled(task_id)
    for record_id, plot in workspace.plots.items():
        mask = masks[record_id]
        assert mask is not None
        wrong = int(np.count_nonzero((mask != 0) != plot.truth))
        assert wrong <= np.count_nonzero((workspace.predicted_mask(record_id) != 0) != plot.truth)


@pytest.mark.slow
def test_two_rounds(workspace: Workspace) -> None:
    workspace.cli("query", "--db", "semif", "--limit", "4")
    lines = commands(seed.ITERATIVE)
    infer, upload, download, train, infer_again, upload_again = lines
    workspace.line(infer)
    (first,) = check_task_urls(workspace, workspace.line(upload))
    before = workspace.state()
    refine(workspace, first)
    refined = workspace.state()
    assert refined != before
    workspace.line(download)
    workspace.line(train)
    path = (workspace.run / "model" / "best.pth").relative_to(workspace.root)
    assert str(path).startswith("outputs/")
    workspace.line(infer_again.replace("outputs/.../model/best.pth", str(path)))
    assert {e["model"] for e in workspace.manifest().values()} != {"excess_green"}
    (second,) = check_task_urls(workspace, workspace.line(upload_again))
    assert second != first
    assert workspace.task(first)["name"].startswith("Round1_Barley ")
    assert workspace.task(second)["name"].startswith("Round2_Barley ")
    assert workspace.state()[str(first)] == refined[str(first)]
    assert workspace.metrics()["history"]["upload-cvat"][0]["task_id"] == first


# --- configuration ----------------------------------------------------------------------------------------


def test_the_settings_of_the_seed_work_as_the_users_file(predicted: Workspace) -> None:
    predicted.organization("PSA")
    project = predicted.project("weed", organization="PSA")
    text = seed.SETTINGS.replace("319384", str(project)) + seed.SOURCE + seed.FIXED_LABEL
    predicted.conf("cvat_upload", text)
    (task_id,) = check_task_urls(predicted, predicted.line("agir-cvtoolkit upload-cvat"))
    assert predicted.task(task_id)["project_id"] == project


@pytest.mark.parametrize("block", [seed.LABEL_MAP, seed.FIELD_LABEL, seed.MIXED_LABEL])
def test_field_values_become_labels_whatever_their_spelling(predicted: Workspace, block: str) -> None:
    """``hairy vetch`` of the database is ``hairy_vetch`` of the list."""
    predicted.conf("cvat_upload", seed.STANDALONE + block)
    (task_id,) = check_task_urls(predicted, predicted.line("agir-cvtoolkit upload-cvat"))
    labels = predicted.labels(task_id)
    by_frame = {shape["frame"]: labels[shape["label_id"]] for shape in predicted.shapes(task_id)}
    assert by_frame == {0: "barley", 1: "hairy_vetch", 2: "wheat"}


@pytest.mark.parametrize(
    ("block", "label"), [(seed.MIXED_LABEL, "unknown"), (seed.FIXED_LABEL, "weed"), (seed.LABEL_MAP, "weed")]
)
def test_a_record_without_the_field_takes_the_default(empty: Workspace, block: str, label: str) -> None:
    empty.add("img_0", draw(0))
    for row in empty.rows:
        row["category_common_name"] = ""
    empty.database()
    empty.predicted()
    empty.conf("cvat_upload", f"labels: [weed, unknown, barley]\n{block}")
    result = empty.upload()
    (shape,) = empty.shapes(result["task_id"])
    assert empty.labels(result["task_id"])[shape["label_id"]] == label


# --- troubleshooting --------------------------------------------------------------------------------------


def test_authentication_failed(predicted: Workspace) -> None:
    predicted.keys(password="wrong")
    outcome = predicted.cli("upload-cvat", code=3)
    assert "Authentication failed for user 'admin'" in outcome.stderr
    assert ".keys/default.yaml" in outcome.stderr
    assert "https" in outcome.stderr
    assert "web interface" in outcome.stderr
    assert "wrong" not in outcome.text.replace("wrong password", "")
    assert predicted.tasks() == []


def test_no_credentials(predicted: Workspace) -> None:
    (predicted.root / ".keys" / "default.yaml").unlink()
    outcome = predicted.cli("upload-cvat", code=2)
    assert ".keys/default.yaml" in outcome.stderr


def test_images_not_found(workspace: Workspace) -> None:
    workspace.cli("query", "--db", "semif")
    workspace.line(commands(seed.IMAGES_SAVED)[0])
    (workspace.run / "images" / "img_1.png").unlink()
    (workspace.root / "pictures" / "images" / "img_1.png").unlink()
    outcome = workspace.cli("upload-cvat", code=1)
    assert "Could not load image for record img_1" in outcome.stderr
    assert "save_images=true" in outcome.stderr
    stage = check_metrics(workspace)
    assert (stage["uploaded_annotations"], stage["skipped"], stage["failed"]) == (2, 1, 0)
    assert [frame["name"] for frame in workspace.frames(stage["task_id"])] == ["img_0.png", "img_2.png"]


def test_no_image_at_all(predicted: Workspace) -> None:
    for folder in (predicted.run / "images", predicted.root / "pictures" / "images"):
        for path in folder.iterdir():
            path.unlink()
    outcome = predicted.cli("upload-cvat", code=4)
    assert "Could not load image for record img_0" in outcome.stderr
    stage = check_metrics(predicted)
    assert (stage["uploaded_annotations"], stage["skipped"], stage["task_id"]) == (0, 3, None)
    assert predicted.tasks() == []


def test_images_not_found_counts_boxes_of_detections(workspace: Workspace) -> None:
    workspace.cli("query", "--db", "semif")
    (workspace.root / "pictures" / "images" / "img_1.png").unlink()
    outcome = workspace.cli("upload-cvat", "-o", "cvat_upload.source.type=detections", code=1)
    assert "Could not load image for record img_1" in outcome.stderr
    stage = check_metrics(workspace)
    assert (stage["total_records"], stage["uploaded_annotations"], stage["skipped"]) == (6, 4, 2)


def test_project_not_found(predicted: Workspace) -> None:
    outcome = predicted.cli("upload-cvat", "-o", "cvat_upload.project_id=12345", code=3)
    assert "Project 12345 not found" in outcome.stderr
    assert "organization_slug" in outcome.stderr
    assert predicted.tasks() == []


def test_organization_not_found(predicted: Workspace) -> None:
    outcome = predicted.cli("upload-cvat", "-o", "cvat_upload.organization_slug=nobody", code=3)
    assert "nobody" in outcome.stderr
    assert "organization_slug" in outcome.stderr
    assert predicted.tasks() == []


def test_label_not_in_project(predicted: Workspace) -> None:
    """What fails for one record is listed and counted, the rest goes on."""
    project = predicted.project("Hairy_Vetch", "wheat")
    words = ["-o", f"cvat_upload.project_id={project}"]
    words += ["-o", "cvat_upload.label_map={category_common_name: '{value}'}"]
    outcome = predicted.cli("upload-cvat", *words, code=1)
    assert "Label 'barley' not in task" in outcome.stderr
    assert "'Hairy_Vetch', 'wheat'" in outcome.stderr
    assert "label_map" in outcome.stderr
    stage = check_metrics(predicted)
    assert (stage["uploaded_annotations"], stage["skipped"], stage["failed"]) == (2, 0, 1)
    assert [frame["name"] for frame in predicted.frames(stage["task_id"])] == ["img_1.png", "img_2.png"]


def test_no_label_in_project(predicted: Workspace) -> None:
    project = predicted.project("crop")
    outcome = predicted.cli("upload-cvat", "-o", f"cvat_upload.project_id={project}", code=4)
    assert "Label 'weed' not in task" in outcome.stderr
    stage = check_metrics(predicted)
    assert (stage["uploaded_annotations"], stage["failed"], stage["tasks"]) == (0, 3, [])
    assert predicted.tasks() == []


def test_a_label_of_detections_fails_by_boxes(empty: Workspace) -> None:
    """Of a picture with boxes of two species only those fail whose label is missing."""
    empty.fill(2)
    empty.rows[1]["category_common_name"] = "thistle"
    empty.database()
    empty.cli("query", "--db", "semif")
    project = empty.project("barley", "hairy_vetch")
    words = ["-o", f"cvat_upload.project_id={project}", "-o", "cvat_upload.source.type=detections"]
    words += ["-o", "cvat_upload.label_map={category_common_name: '{value}'}"]
    outcome = empty.cli("upload-cvat", *words, code=1)
    assert "Label 'thistle' not in task" in outcome.stderr
    stage = check_metrics(empty)
    assert (stage["total_records"], stage["uploaded_annotations"], stage["failed"]) == (4, 3, 1)
    assert stage["shapes"] == 3
    writes = len(empty.writes())
    empty.cli("upload-cvat", *words, code=1)
    assert len(empty.writes()) == writes
    assert check_metrics(empty)["uploaded_annotations"] == 3


def test_a_label_of_another_type_is_refused_before_anything_is_made(predicted: Workspace) -> None:
    project = predicted.project({"name": "weed", "type": "rectangle"})
    outcome = predicted.cli("upload-cvat", "-o", f"cvat_upload.project_id={project}", code=4)
    assert "label 'weed' takes rectangles, not masks" in outcome.stderr
    assert predicted.tasks() == []


def test_misaligned_frames_are_found_before_they_are_sent(predicted: Workspace) -> None:
    """A picture that was changed between inference and upload does not get the old mask."""
    plot = draw(77)
    from .plants import save

    save(plot, predicted.run / "images" / "img_1.png")
    outcome = predicted.cli("upload-cvat", code=1)
    assert "img_1" in outcome.stderr
    assert "was changed after infer-seg" in outcome.stderr
    assert "Run infer-seg again" in outcome.stderr
    stage = check_metrics(predicted)
    assert (stage["uploaded_annotations"], stage["failed"]) == (2, 1)


def test_a_missing_manifest_names_the_line_to_type(predicted: Workspace) -> None:
    (predicted.run / "manifest.jsonl").unlink()
    outcome = predicted.cli("upload-cvat", code=2)
    assert "manifest.jsonl" in outcome.stderr
    assert "agir-cvtoolkit infer-seg -o seg_inference.output.save_images=true" in outcome.stderr


def test_infer_seg_without_a_query_names_the_line_to_type(empty: Workspace) -> None:
    outcome = empty.cli("infer-seg", code=2)
    assert 'agir-cvtoolkit query --db semif --filters "state=NC" --limit 100' in outcome.stderr
