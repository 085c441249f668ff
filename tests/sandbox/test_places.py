"""The share and the buckets of the sandbox, as a real server answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions, SimulatedWork

from .plain import Plain, picture

pytestmark = pytest.mark.integration
FILES = ("top.png", "a/x.png", "a/ü m.png", "b/x.png", "b/deep/y.png")


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("share")
    for number, name in enumerate(FILES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture(number, (24 + number, 16)))
    (root / "a" / "notes.txt").write_text("x")
    (root / "bad.png").write_bytes(b"not a picture")
    return root


@pytest.fixture(scope="module")
def server(share: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    root = tmp_path_factory.mktemp("box")
    options = SandboxOptions(root, anonymous_limit=1000, share=share, buckets={"pics": share})
    with Sandbox(options) as running:
        yield running


@pytest.fixture
def plain(server: Sandbox) -> Iterator[Plain]:
    client = Plain(server.url)
    client.log_in()
    yield client
    client.close()


@pytest.fixture
def storage(plain: Plain) -> int:
    spec = {
        "provider_type": "AWS_S3_BUCKET",
        "resource": "pics",
        "display_name": "Pictures",
        "credentials_type": "KEY_SECRET_KEY_PAIR",
        "key": "k",
        "secret_key": "s",
    }
    got = plain("POST", "/api/cloudstorages", spec)
    assert got.status == 201, got.data
    assert "secret_key" not in got.json
    return int(got.json["id"])


def begin(plain: Plain, *names: str, **content: Any) -> tuple[int, Any]:
    task = plain("POST", "/api/tasks", {"name": "t", "labels": [{"name": "plant"}]}).json["id"]
    data = {"image_quality": 70, "server_files": list(names), **content}
    return task, plain("POST", f"/api/tasks/{task}/data/", data)


def made(plain: Plain, *names: str, **content: Any) -> int:
    task, got = begin(plain, *names, **content)
    assert got.status == 202, got.data
    ended = plain.wait(got.json["rq_id"])
    assert ended["status"] == "finished", ended["message"]
    return int(task)


def failed(plain: Plain, *names: str, **content: Any) -> str:
    task, got = begin(plain, *names, **content)
    assert got.status == 202, got.data
    ended = plain.wait(got.json["rq_id"])
    assert ended["status"] == "failed"
    assert plain("GET", f"/api/tasks/{task}").json["size"] == 0
    return str(ended["message"]).strip()


def original(plain: Plain, task: int, frame: int) -> bytes:
    return plain("GET", f"/api/tasks/{task}/data/?type=frame&quality=original&number={frame}").data


@pytest.mark.parametrize("asked", ["", "/"])
def test_the_share_is_listed_folder_by_folder(plain: Plain, asked: str) -> None:
    listed = plain("GET", f"/api/server/share?directory={asked}").json
    assert [(item["type"], item["name"], item["mime_type"]) for item in listed] == [
        ("DIR", "a", "DIR"),
        ("DIR", "b", "DIR"),
        ("REG", "bad.png", "image"),
        ("REG", "top.png", "image"),
    ]
    for folder in ("a", "a/", "/a/"):
        names = [i["name"] for i in plain("GET", f"/api/server/share?directory={folder}").json]
        assert names == ["notes.txt", "x.png", "ü m.png"]
    assert [i["name"] for i in plain("GET", "/api/server/share?directory=a&search=x").json] == ["x.png"]
    for folder in ("nope", "../"):
        got = plain("GET", f"/api/server/share?directory={folder}")
        assert (got.status, got.json) == (400, f"{folder} is an invalid directory")


def test_frames_are_called_by_their_paths_in_the_order_given(plain: Plain, share: Path) -> None:
    names = ["b/x.png", "/a/x.png", "a/../a/ü m.png"]
    order = ["x.png"]  # ignored without a word
    task = made(plain, *names, sorting_method="predefined", upload_file_order=order)
    assert plain.names(task) == ["b/x.png", "a/x.png", "a/ü m.png"]
    for frame, name in enumerate(plain.names(task)):
        assert original(plain, task, frame) == (share / name).read_bytes()
    assert plain("GET", f"/api/tasks/{task}/data/?type=chunk&quality=compressed&number=0").status == 200
    assert plain("GET", f"/api/tasks/{task}/preview").status == 200
    assert plain.names(made(plain, "b/x.png", "a/x.png")) == ["a/x.png", "b/x.png"]
    assert plain.names(made(plain, "b/")) == ["b/deep/y.png", "b/x.png"]
    assert plain.names(made(plain, "a/x.png", "a/notes.txt")) == ["a/x.png"]


def test_a_copy_outlives_the_share(plain: Plain, share: Path) -> None:
    path = share / "passing.png"
    path.write_bytes(picture(9))
    copied, linked = made(plain, "passing.png", copy_data=True), made(plain, "passing.png")
    path.unlink()
    assert original(plain, copied, 0) == picture(9)
    got = plain("GET", f"/api/tasks/{linked}/data/?type=frame&quality=original&number=0")
    assert got.status == 500


def test_errors_of_the_share(plain: Plain, share: Path) -> None:
    assert failed(plain, "a/nope.png") == (
        f"FileNotFoundError: [Errno 2] No such file or directory: '{share}/a/nope.png'"
    )
    assert failed(plain, "../x.png") == "ValueError: Don't use '..' inside file paths"
    assert failed(plain, "a/notes.txt") == "ValueError: No media data found"
    assert failed(plain, "bad.png") == (
        f"PIL.UnidentifiedImageError: cannot identify image file '{share}/bad.png'"
    )
    assert begin(plain, "top.png", "top.png")[1].status == 500


def test_buckets_are_registered_and_listed(plain: Plain, storage: int) -> None:
    assert storage in [s["id"] for s in plain("GET", "/api/cloudstorages").json["results"]]
    assert plain("GET", f"/api/cloudstorages/{storage}/status").json == "AVAILABLE"
    root = plain("GET", f"/api/cloudstorages/{storage}/content-v2").json
    assert [(i["name"], i["type"]) for i in root["content"][:2]] == [("a", "DIR"), ("b", "DIR")]
    first = plain("GET", f"/api/cloudstorages/{storage}/content-v2?prefix=a/&page_size=2").json
    assert [i["name"] for i in first["content"]] == ["notes.txt", "x.png"]
    token = first["next"]
    rest = plain(
        "GET", f"/api/cloudstorages/{storage}/content-v2?prefix=a/&page_size=2&next_token={token}"
    ).json
    assert ([i["name"] for i in rest["content"]], rest["next"]) == (["ü m.png"], None)
    none = plain("GET", f"/api/cloudstorages/{storage}/content-v2?prefix=nope/").json
    assert none == {"next": None, "content": []}
    missing = plain("GET", f"/api/cloudstorages/{storage}/content-v2?manifest_path=nope.jsonl")
    assert (missing.status, missing.json) == (
        404,
        "The file 'nope.jsonl' not found on the cloud storage 'pics'",
    )
    assert plain("GET", "/api/cloudstorages/999").json == {
        "detail": "No CloudStorage matches the given query."
    }
    assert plain("GET", "/api/cloudstorages/999/content-v2").status == 500
    unknown = {"provider_type": "AWS_S3_BUCKET", "resource": "no", "display_name": "x"}
    got = plain("POST", "/api/cloudstorages", {**unknown, "credentials_type": "ANONYMOUS_ACCESS"})
    assert got.status == 400
    assert plain("DELETE", f"/api/cloudstorages/{storage}").status == 204


def manifest(*lines: dict[str, object]) -> str:
    head: tuple[dict[str, object], ...] = ({"version": "1.1"}, {"type": "images"})
    return "".join(json.dumps(line) + "\n" for line in (*head, *lines))


def line(name: str, width: int = 25, height: int = 16) -> dict[str, object]:
    return {"name": name, "extension": ".png", "width": width, "height": height}


def test_tasks_from_a_bucket(plain: Plain, storage: int, share: Path) -> None:
    names = ["b/x.png", "a/x.png"]
    task = made(plain, *names, cloud_storage_id=storage, sorting_method="predefined")
    assert plain.names(task) == names
    assert original(plain, task, 1) == (share / "a/x.png").read_bytes()
    (share / "a" / "manifest.jsonl").write_text(manifest(line("x", width=640)))
    listed = ["a/x.png", "a/manifest.jsonl"]
    task = made(plain, *listed, cloud_storage_id=storage, sorting_method="predefined")
    (frame,) = plain("GET", f"/api/tasks/{task}/data/meta").json["frames"]
    assert (frame["name"], frame["width"]) == ("a/x.png", 640), "a manifest is believed"
    assert plain.names(made(plain, "a/manifest.jsonl", cloud_storage_id=storage)) == ["a/x.png"]


def test_errors_of_a_bucket(plain: Plain, storage: int, share: Path) -> None:
    cloud = {"cloud_storage_id": storage}
    (share / "m.jsonl").write_text(manifest(line("a/x"), line("a/ghost")))
    (share / "junk.jsonl").write_text("junk")
    assert failed(plain, "a/nope.png", **cloud) == (
        "NotFound: The file 'a/nope.png' not found on the cloud storage 'pics'"
    )
    assert "Incorrect file mapping" in failed(plain, "m.jsonl", "a/x.png", "b/x.png", **cloud)
    assert "There is no intersection" in failed(plain, "m.jsonl", "b/x.png", **cloud)
    assert "a/ghost.png" in failed(plain, "m.jsonl", "a/ghost.png", **cloud)
    assert "no.jsonl" in failed(plain, "no.jsonl", "a/x.png", **cloud)
    assert failed(plain, "junk.jsonl", "a/x.png", **cloud) == "Invalid manifest was uploaded"
    assert "Only one manifest" in failed(plain, "junk.jsonl", "m.jsonl", "a/x.png", **cloud)
    got = begin(plain, "a/x.png", cloud_storage_id=4711)[1]
    assert (got.status, got.json) == (400, ["CloudStorage matching query does not exist."])


def test_the_official_sdk_makes_a_task_from_the_share(server: Sandbox) -> None:
    sdk = pytest.importorskip("cvat_sdk")
    from cvat_sdk.core.proxies.tasks import ResourceType

    with sdk.make_client(server.url, credentials=("admin", "admin123")) as client:
        task = client.tasks.create_from_data(
            {"name": "sdk", "labels": [{"name": "plant"}]},
            ["b/x.png", "a/x.png"],
            resource_type=ResourceType.SHARE,
            data_params={"sorting_method": "predefined", "image_quality": 90},
        )
        assert [frame.name for frame in task.get_frames_info()] == ["b/x.png", "a/x.png"]


def test_a_group_is_taken_whole_or_not_at_all(plain: Plain) -> None:
    task = plain("POST", "/api/tasks", {"name": "t", "labels": [{"name": "plant"}]}).json["id"]
    path = f"/api/tasks/{task}/data/"

    def group(*names: str) -> int:
        fields: dict[str, object] = {"image_quality": "70"}
        fields |= {f"client_files[{i}]": (n, picture(i), "image/png") for i, n in enumerate(names)}
        return plain.multipart(path, fields, {"Upload-Multiple": ""}).status

    assert group("1.png") == 200
    assert group("2.png", "1.png") == 500
    order = {"image_quality": 70, "sorting_method": "predefined", "upload_file_order": ["1.png", "2.png"]}
    refused = plain("POST", path, order, headers={"Upload-Finish": ""})
    assert refused.status == 400
    assert refused.json[0].endswith("Mismatching files: 2.png (missing)")
    assert group("2.png") == 200
    begun = plain("POST", path, order, headers={"Upload-Finish": ""})
    assert plain.wait(begun.json["rq_id"])["status"] == "finished"
    assert plain.names(task) == ["1.png", "2.png"]


def test_a_task_that_is_being_made_cannot_be_deleted(tmp_path: Path) -> None:
    options = SandboxOptions(tmp_path / "busy", simulated_work=SimulatedWork(creation=0.5))
    with Sandbox(options) as running:
        client = Plain(running.url)
        client.log_in()
        task = client("POST", "/api/tasks", {"name": "t", "labels": [{"name": "a"}]}).json["id"]
        begun = client.send(task, {"1.png": picture()})
        while client("GET", f"/api/tasks/{task}/status").json["state"] == "Queued":
            pass
        assert client("DELETE", f"/api/tasks/{task}").status == 500
        assert client.wait(begun.json["rq_id"])["status"] == "finished"
        assert client("GET", f"/api/tasks/{task}").json["size"] == 1
        assert client("DELETE", f"/api/tasks/{task}").status == 204
        client.close()
