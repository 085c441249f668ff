"""The official SDK, unmodified, as a second opinion on everything the sandbox answers."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agir_cvtoolkit.masks import Runs, decode, encode
from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions

from .plain import picture

cvat_sdk = pytest.importorskip("cvat_sdk", reason="the official cvat-sdk is not installed")

from cvat_sdk import exceptions, make_client, masks, models  # noqa: E402
from cvat_sdk.core import uploading  # noqa: E402

pytestmark = pytest.mark.integration

_SIZE = (80, 60)
_SVG = "".join(
    f'<circle r="1" cx="{i}" cy="{i}" data-type="element node" data-element-id="{i}" data-node-id="{i}"'
    f' data-label-name="{name}"></circle>'
    for i, name in enumerate(("nose", "tail"), start=1)
)


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Any]:
    with make_client(sandbox.url, credentials=("admin", "admin123")) as found:
        found.config.status_check_period = 0.05
        yield found


@pytest.fixture
def project(client: Any) -> Any:
    skeleton = {
        "name": "animal",
        "type": "skeleton",
        "svg": _SVG,
        "sublabels": [{"name": "nose", "type": "points"}, {"name": "tail", "type": "points"}],
    }
    labels = [{"name": "plant", "type": "mask"}, {"name": "thing"}, skeleton]
    return client.projects.create(models.ProjectWriteRequest(name="field", labels=labels))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    found = []
    for i, name in enumerate(("b10.jpg", "b2.jpg", "ü a.png")):
        path = tmp_path / name
        path.write_bytes(picture(i, _SIZE, "PNG" if name.endswith("png") else "JPEG"))
        found.append(path)
    return found


@pytest.fixture
def task(client: Any, project: Any, files: list[Path]) -> Any:
    spec = models.TaskWriteRequest(name="first", project_id=project.id, segment_size=2)
    settings = {"sorting_method": "predefined", "image_quality": 95}
    return client.tasks.create_from_data(spec, files, data_params=settings)


def test_pictures_arrive(task: Any, files: list[Path]) -> None:
    assert task.size == 3
    assert [frame.name for frame in task.get_frames_info()] == [path.name for path in files]
    assert [task.get_frame(i, quality="original").read() for i in range(3)] == [p.read_bytes() for p in files]
    assert len(task.get_preview().read()) > 100


def test_shapes_of_every_kind_and_bits_of_masks(task: Any, project: Any) -> None:
    labels = {label.name: label for label in project.get_labels()}
    mask = np.random.default_rng(0).random((_SIZE[1], _SIZE[0])) > 0.4
    plant, thing, animal = (labels[name].id for name in ("plant", "thing", "animal"))
    elements = [
        models.SubLabeledShapeRequest(type="points", frame=2, label_id=sub.id, points=[5.5, 6], occluded=True)
        for sub in labels["animal"].sublabels
    ]
    request = models.LabeledShapeRequest
    sent = [
        request(type="mask", frame=0, label_id=plant, points=masks.encode_mask(mask)),
        request(type="polygon", frame=1, label_id=thing, points=[1, 1, 20, 1, 20, 30.25]),
        request(type="rectangle", frame=2, label_id=thing, points=[1, 2, 3, 4.5], source="auto"),
        request(type="skeleton", frame=2, label_id=animal, elements=elements),
    ]
    task.set_annotations(models.LabeledDataRequest(shapes=sent))
    found = {shape.type.value: shape for shape in task.get_annotations().shapes}
    assert set(found) == {"mask", "polygon", "rectangle", "skeleton"}
    points = found["mask"].points
    assert np.array_equal(masks.decode_mask(points, image_width=_SIZE[0], image_height=_SIZE[1]), mask)
    left, top, right, bottom = (int(v) for v in points[-4:])
    ours = Runs(np.asarray(points[:-4], dtype=np.int32), (left, top, right, bottom))
    assert np.array_equal(decode(ours, _SIZE), mask)
    again = encode(mask)
    assert again is not None
    assert [*again.lengths.tolist(), *again.box] == masks.encode_mask(mask)
    assert found["polygon"].points == [1, 1, 20, 1, 20, 30.25]
    assert found["rectangle"].source == "auto"
    assert sorted(e.label_id for e in found["skeleton"].elements) == [
        s.id for s in labels["animal"].sublabels
    ]


def test_a_job_is_completed_and_found(client: Any, task: Any) -> None:
    job = task.get_jobs()[0]
    job.update(models.PatchedJobWriteRequest(state="completed"))
    assert [found.id for found in client.jobs.list(state="completed")] == [job.id]
    assert [frame.name for frame in job.get_meta().frames]


def test_exports(task: Any, project: Any, tmp_path: Path) -> None:
    for owner, name in ((task, "task.zip"), (project, "project.zip"), (task.get_jobs()[0], "job.zip")):
        path = tmp_path / name
        owner.export_dataset("CVAT for images 1.1", path, include_images=True)
        with zipfile.ZipFile(path) as archive:
            assert "annotations.xml" in archive.namelist()
            assert any(entry.startswith("images/") for entry in archive.namelist())


def test_large_files_go_in_pieces(client: Any, project: Any, files: list[Path], monkeypatch: Any) -> None:
    monkeypatch.setattr(uploading, "TUS_CHUNK_SIZE", 4096)
    found = client.tasks.create(models.TaskWriteRequest(name="tus", project_id=project.id))
    url = client.api_map.make_endpoint_url(found.api.create_data_endpoint.path, kwsub={"id": found.id})
    uploader = uploading.DataUploader(client, max_request_size=1)
    got = uploader.upload_files(url, files, image_quality=70, sorting_method="natural")
    client.wait_for_completion(json.loads(got.data)["rq_id"])
    found.fetch()
    assert found.size == 3
    by_name = {frame.name: i for i, frame in enumerate(found.get_frames_info())}
    for path in files:
        assert found.get_frame(by_name[path.name], quality="original").read() == path.read_bytes()


def test_errors_reach_the_caller(client: Any, project: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(exceptions.ApiException) as wrong:
        make_client(sandbox.url, credentials=("admin", "nope"))
    assert wrong.value.status == 400
    with pytest.raises(exceptions.ApiException) as missing:
        client.tasks.retrieve(999)
    assert missing.value.status == 404
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"nothing")
    spec = models.TaskWriteRequest(name="broken", project_id=project.id)
    with pytest.raises(Exception, match="cannot identify image file"):
        client.tasks.create_from_data(spec, [broken])
    assert len(client.tasks.list()) == 1, "the failed task stays behind"


def test_access_tokens_and_organizations(tmp_path: Path) -> None:
    with (
        Sandbox(SandboxOptions(tmp_path, access_token="pat-123", version="2.80")) as sandbox,
        make_client(sandbox.url, access_token="pat-123") as client,
    ):
        made = client.organizations.create(models.OrganizationWriteRequest(slug="lab"))
        client.organization_slug = "lab"
        project = client.projects.create(models.ProjectWriteRequest(name="in", labels=[{"name": "a"}]))
        assert project.organization == made.id
        client.organization_slug = ""
        assert client.projects.list() == []
        assert client.users.retrieve_current_user().username == "admin"
