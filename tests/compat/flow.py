"""One flow of everything that teams do with CVAT, by the official SDK and ``cvat-cli`` alone.

Run by an interpreter that has ``cvat-cli`` and nothing of this package: ``python flow.py URL USER PASSWORD``.
Prints one line of JSON per step and ends with 1 when a step failed.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from cvat_sdk import exceptions, make_client, masks, models
from PIL import Image

SIZE = (120, 90)
NAMES = ("b10.jpg", "b2.jpg", "a1.png", "Z.png", "field 1 ü.jpg")
SVG = "".join(
    f'<circle r="1" cx="{10 * i}" cy="{10 * i}" data-type="element node" data-element-id="{i}" data-node-id="{i}"'
    f' data-label-name="{name}"></circle>'
    for i, name in enumerate(("nose", "neck", "tail"), start=1)
)
LABELS: list[dict[str, Any]] = [
    {
        "name": "plant",
        "attributes": [
            {
                "name": "stage",
                "mutable": False,
                "input_type": "select",
                "default_value": "young",
                "values": ["young", "old"],
            }
        ],
    },
    {"name": "soil", "type": "mask"},
    {
        "name": "animal",
        "type": "skeleton",
        "svg": SVG,
        "sublabels": [{"name": name, "type": "points"} for name in ("nose", "neck", "tail")],
    },
]

Step = Callable[["Flow"], None]
STEPS: list[tuple[str, Step]] = []


def step(name: str) -> Callable[[Step], Step]:
    """Add a function to the flow."""

    def add(function: Step) -> Step:
        STEPS.append((name, function))
        return function

    return add


class Flow:
    """What the steps share."""

    def __init__(self, url: str, username: str, password: str, folder: Path) -> None:
        self.url, self.username, self.password, self.folder = url, username, password, folder
        self.client: Any = None
        self.project: Any = None
        self.task: Any = None
        self.labels: dict[str, Any] = {}
        self.masks: dict[int, Any] = {}
        self.files = [self._picture(folder / name, seed) for seed, name in enumerate(NAMES)]

    def cli(self, *words: str) -> str:
        """Run ``cvat-cli`` and return what it prints."""
        parts = urlsplit(self.url)
        command = [
            sys.executable,
            "-m",
            "cvat_cli",
            "--server-host",
            f"{parts.scheme}://{parts.hostname}",
            "--server-port",
            str(parts.port),
            "--auth",
            self.username,
            *words,
        ]
        environment = {**os.environ, "PASS": self.password}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise AssertionError(
                f"cvat-cli {' '.join(words)} ended with {done.returncode}: {done.stderr[-600:]}"
            )
        return done.stdout.strip()

    @staticmethod
    def _picture(path: Path, seed: int) -> Path:
        rng = np.random.default_rng(seed)
        picture = Image.fromarray(rng.integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8))
        if path.suffix == ".jpg":
            picture.save(path, quality=95)
        else:
            picture.save(path)
        return path


def same(found: object, wanted: object, what: str) -> None:
    """Compare."""
    if found != wanted:
        raise AssertionError(f"{what}: {found!r} instead of {wanted!r}")


@step("log in")
def _log_in(flow: Flow) -> None:
    flow.client = make_client(flow.url, credentials=(flow.username, flow.password))
    flow.client.config.status_check_period = 0.05
    same(flow.client.users.retrieve_current_user().username, flow.username, "user")
    try:
        make_client(flow.url, credentials=(flow.username, "wrong"))
    except exceptions.ApiException as error:
        same(error.status, 400, "status of a wrong password")
    else:
        raise AssertionError("a wrong password was accepted")


@step("project with labels")
def _project(flow: Flow) -> None:
    flow.project = flow.client.projects.create(models.ProjectWriteRequest(name="flow", labels=LABELS))
    flow.labels = {label.name: label for label in flow.project.get_labels()}
    same(sorted(flow.labels), ["animal", "plant", "soil"], "labels")
    same([s.name for s in flow.labels["animal"].sublabels], ["nose", "neck", "tail"], "sublabels")
    same(flow.client.projects.retrieve(flow.project.id).name, "flow", "project")


@step("task with pictures")
def _task(flow: Flow) -> None:
    request = models.TaskWriteRequest(
        name="first", project_id=flow.project.id, segment_size=2, overlap=0, subset="Train"
    )
    flow.task = flow.client.tasks.create_from_data(
        request, flow.files, data_params={"sorting_method": "predefined", "image_quality": 95}
    )
    same([frame.name for frame in flow.task.get_frames_info()], list(NAMES), "frames")
    same(flow.task.size, len(NAMES), "size")
    same(flow.task.subset, "Train", "subset")
    same(len(flow.task.get_jobs()), 3, "jobs")


@step("pictures come back as they were")
def _originals(flow: Flow) -> None:
    for number, path in enumerate(flow.files):
        if flow.task.get_frame(number, quality="original").read() != path.read_bytes():
            raise AssertionError(f"frame {number} is not {path.name}")
    flow.task.download_frames([0, 2], outdir=flow.folder / "frames", quality="original")
    same(len(list((flow.folder / "frames").iterdir())), 2, "files")
    Image.open(flow.task.get_preview()).verify()


@step("shapes of all kinds")
def _shapes(flow: Flow) -> None:
    plant, soil, animal = (flow.labels[name].id for name in ("plant", "soil", "animal"))
    make = models.LabeledShapeRequest
    rng = np.random.default_rng(1)
    shapes = []
    for frame in range(3):
        flow.masks[frame] = rng.random((SIZE[1], SIZE[0])) > 0.4
        shapes.append(
            make(type="mask", frame=frame, label_id=soil, points=masks.encode_mask(flow.masks[frame]))
        )
    elements = [
        models.SubLabeledShapeRequest(
            type="points",
            frame=1,
            label_id=sub.id,
            points=[10.5 + i, 20.25],
            occluded=i == 1,
            outside=i == 2,
        )
        for i, sub in enumerate(flow.labels["animal"].sublabels)
    ]
    stage = flow.labels["plant"].attributes[0].id
    shapes += [
        make(type="polygon", frame=0, label_id=plant, points=[1, 1, 30, 1, 30, 40.25]),
        make(type="polyline", frame=0, label_id=plant, points=[1, 2, 3, 4, 5.5, 6]),
        make(type="rectangle", frame=1, label_id=plant, points=[5, 6, 50, 40], rotation=30.0),
        make(type="ellipse", frame=1, label_id=plant, points=[50, 40, 70, 30], rotation=15.0),
        make(
            type="points",
            frame=3,
            label_id=plant,
            points=[7, 8, 9, 10],
            occluded=True,
            z_order=2,
            source="auto",
            attributes=[models.AttributeValRequest(spec_id=stage, value="old")],
        ),
        make(type="skeleton", frame=1, label_id=animal, elements=elements),
    ]
    tags = [models.LabeledImageRequest(frame=4, label_id=plant)]
    keyframes = [
        models.TrackedShapeRequest(
            type="rectangle", frame=frame, points=[frame, 1, frame + 20, 30], outside=False
        )
        for frame in (0, 1)
    ]
    track = models.LabeledTrackRequest(frame=0, label_id=plant, shapes=keyframes)
    flow.task.set_annotations(models.LabeledDataRequest(shapes=shapes, tags=tags, tracks=[track]))
    _check_shapes(flow)


def _check_shapes(flow: Flow) -> None:
    found = flow.task.get_annotations()
    kinds = sorted(str(shape.type.value) for shape in found.shapes)
    wanted = ["ellipse", "mask", "mask", "mask", "points", "polygon", "polyline", "rectangle", "skeleton"]
    same(kinds, wanted, "kinds")
    same((len(found.tags), len(found.tracks)), (1, 1), "tags and tracks")
    by_kind = {str(shape.type.value): shape for shape in found.shapes}
    for shape in found.shapes:
        if shape.type.value == "mask":
            decoded = masks.decode_mask(shape.points, image_width=SIZE[0], image_height=SIZE[1])
            if not np.array_equal(decoded, flow.masks[shape.frame]):
                raise AssertionError(f"the mask of frame {shape.frame} came back different")
    same(by_kind["polygon"].points, [1, 1, 30, 1, 30, 40.25], "polygon")
    same(by_kind["rectangle"].rotation, 30.0, "rotation")
    same(by_kind["ellipse"].points, [50, 40, 70, 30], "ellipse")
    points = by_kind["points"]
    same((points.occluded, points.z_order, points.source), (True, 2, "auto"), "points")
    same([a.value for a in points.attributes], ["old"], "attributes")
    visible = {e.label_id: (e.occluded, e.outside) for e in by_kind["skeleton"].elements}
    order = [visible[sub.id] for sub in flow.labels["animal"].sublabels]
    same(order, [(False, False), (True, False), (False, True)], "elements")


@step("shapes are changed")
def _change(flow: Flow) -> None:
    job = flow.task.get_jobs()[0]
    jobs = sorted(flow.task.get_jobs(), key=lambda j: j.start_frame)
    job = jobs[2]
    plant = flow.labels["plant"].id
    new = models.LabeledShapeRequest(type="points", frame=4, label_id=plant, points=[1, 1])
    job.update_annotations(models.PatchedLabeledDataRequest(shapes=[new]))
    added = job.get_annotations().shapes
    same(len(added), 1, "shapes after create")
    job.remove_annotations(ids=[added[0].id])
    same(len(job.get_annotations().shapes), 0, "shapes after delete")
    _check_shapes(flow)


@step("jobs go through their states")
def _jobs(flow: Flow) -> None:
    job = sorted(flow.task.get_jobs(), key=lambda j: j.start_frame)[0]
    job.update(models.PatchedJobWriteRequest(state="completed"))
    same(job.fetch().state, "completed", "state")
    done, _ = flow.client.api_client.jobs_api.list(state="completed", task_id=flow.task.id)
    same([j.id for j in done.results], [job.id], "completed jobs")
    me = flow.client.users.retrieve_current_user().id
    job.update(models.PatchedJobWriteRequest(assignee=me))
    same(job.fetch().assignee.username, flow.username, "assignee")
    job.update(models.PatchedJobWriteRequest(stage="acceptance"))
    same((job.fetch().stage, job.state), ("acceptance", "new"), "stage and state")


@step("deleted frames")
def _deleted(flow: Flow) -> None:
    flow.task.remove_frames_by_ids([4])
    same(list(flow.task.get_meta().deleted_frames), [4], "deleted frames")


@step("exports")
def _exports(flow: Flow) -> None:
    for number, owner in enumerate((flow.task, flow.project, flow.task.get_jobs()[0])):
        path = flow.folder / f"export-{number}.zip"
        owner.export_dataset("CVAT for images 1.1", path, include_images=False)
        with zipfile.ZipFile(path) as archive:
            if b"<annotations>" not in archive.read("annotations.xml"):
                raise AssertionError(f"{path.name} holds no annotations")
    path = flow.folder / "with-images.zip"
    flow.task.export_dataset("CVAT for images 1.1", path, include_images=True)
    with zipfile.ZipFile(path) as archive:
        pictures = [name for name in archive.namelist() if name.startswith("images/")]
    same(len(pictures), len(NAMES) - 1, "pictures in the export")


@step("ground-truth job")
def _ground_truth(flow: Flow) -> None:
    request = models.JobWriteRequest(
        type="ground_truth", task_id=flow.task.id, frame_selection_method="manual", frames=[1]
    )
    job, _ = flow.client.api_client.jobs_api.create(job_write_request=request)
    same(str(job.type), "ground_truth", "type")
    flow.client.api_client.jobs_api.destroy(job.id)


@step("annotations are imported")
def _import(flow: Flow) -> None:
    path = flow.folder / "annotations.zip"
    xml = io.StringIO()
    xml.write('<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>')
    xml.write(f'<image id="0" name="{NAMES[0]}" width="{SIZE[0]}" height="{SIZE[1]}">')
    xml.write('<box label="plant" occluded="0" xtl="3" ytl="4" xbr="30" ybr="40" z_order="0"></box></image>')
    xml.write("</annotations>")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("annotations.xml", xml.getvalue())
    flow.task.import_annotations("CVAT 1.1", path)
    (shape,) = flow.task.get_annotations().shapes
    same(shape.points, [3, 4, 30, 40], "imported box")


@step("organizations")
def _organizations(flow: Flow) -> None:
    slug = "flow"
    made = flow.client.organizations.create(models.OrganizationWriteRequest(slug=slug))
    flow.client.organization_slug = slug
    project = flow.client.projects.create(models.ProjectWriteRequest(name="inside", labels=[{"name": "a"}]))
    same(len(flow.client.projects.list()), 1, "projects inside")
    project.remove()
    flow.client.organization_slug = None
    made.remove()


@step("cvat-cli")
def _cli(flow: Flow) -> None:
    number = int(flow.cli("project", "create", "by cli", "--labels", json.dumps([{"name": "a"}])).split()[-1])
    task = int(
        flow.cli(
            "task",
            "create",
            "by cli",
            "--project_id",
            str(number),
            "--completion_verification_period",
            "1",
            "--sorting-method",
            "predefined",
            "local",
            *(str(path) for path in flow.files[:2]),
        ).split()[-1]
    )
    if str(task) not in flow.cli("task", "ls").split():
        raise AssertionError("task ls does not list the task")
    flow.cli("task", "frames", "--outdir", str(flow.folder / "cli"), str(task), "0", "1")
    same(len(list((flow.folder / "cli").iterdir())), 2, "frames")
    exported = flow.folder / "cli.zip"
    flow.cli("task", "export-dataset", "--completion_verification_period", "1", str(task), str(exported))
    if not zipfile.is_zipfile(exported):
        raise AssertionError("export-dataset wrote no archive")
    flow.cli("task", "delete", str(task))
    flow.cli("project", "delete", str(number))


@step("everything is removed")
def _remove(flow: Flow) -> None:
    flow.task.remove()
    flow.project.remove()
    try:
        flow.client.tasks.retrieve(flow.task.id)
    except exceptions.ApiException as error:
        same(error.status, 404, "status of a removed task")
    else:
        raise AssertionError("the task is still there")


def main() -> int:
    """Run all steps; those after a failed one are still tried."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        url, username, password = sys.argv[1:4]
        flow = Flow(url, username, password, Path(folder))
        for name, function in STEPS:
            try:
                function(flow)
            except Exception as error:  # noqa: BLE001 - whatever fails is reported, and the next step is tried
                failed += 1
                said = f"{type(error).__name__}: {error}".strip()[:600]
                print(json.dumps({"step": name, "ok": False, "said": said}), flush=True)
                traceback.print_exc()
            else:
                print(json.dumps({"step": name, "ok": True}), flush=True)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
