from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agir_cvtoolkit.sandbox import Sandbox

from .plain import Plain, picture, pictures

pytestmark = pytest.mark.integration

_ORDER = ["b10.png", "b2.png", "a1.png", "Z.png", "B1.png", "b1.png"]


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    return shared_sandbox


def _bare(plain: Plain) -> int:
    return int(plain("POST", "/api/tasks", {"name": "t", "labels": [{"name": "a"}]}).json["id"])


def _tus(plain: Plain, task_id: int, name: str, length: int, **headers: str) -> dict[str, str]:
    meta = "filename " + base64.b64encode(name.encode()).decode()
    return {"Upload-Length": str(length), "Upload-Metadata": meta, "Origin": plain.url, **headers}


@pytest.mark.parametrize(
    ("method", "order"),
    [
        (None, ["B1.png", "Z.png", "a1.png", "b1.png", "b10.png", "b2.png"]),
        ("lexicographical", ["B1.png", "Z.png", "a1.png", "b1.png", "b10.png", "b2.png"]),
        ("natural", ["a1.png", "B1.png", "b1.png", "b2.png", "b10.png", "Z.png"]),
        ("predefined", _ORDER),
    ],
)
def test_sorting(plain: Plain, method: str | None, order: list[str]) -> None:
    files = {name: picture(i) for i, name in enumerate(_ORDER)}
    settings: dict[str, Any] = {} if method is None else {"sorting_method": method}
    task = plain.task(files, **settings)
    assert plain.names(task["id"]) == order


def test_random_order_holds_every_file(plain: Plain) -> None:
    task = plain.task(pictures(30), sorting_method="random")
    names = plain.names(task["id"])
    assert sorted(names) == sorted(pictures(30))
    assert names != sorted(names)


def test_upload_file_order(plain: Plain) -> None:
    wanted = ["f02.png", "f00.png", "f01.png"]
    task = plain.task(sorting_method="predefined", upload_file_order=wanted)
    assert plain.names(task["id"]) == wanted
    ignored = plain.task(sorting_method="lexicographical", upload_file_order=wanted)
    assert plain.names(ignored["id"]) == sorted(wanted)


def test_upload_file_order_that_does_not_match(plain: Plain) -> None:
    got = plain.send(
        _bare(plain), pictures(2), sorting_method="predefined", upload_file_order=["f00.png", "x.png"]
    )
    assert got.status == 400
    assert "f01.png (extra)" in got.data.decode()
    assert "x.png (missing)" in got.data.decode()


def test_frames_by_step(plain: Plain) -> None:
    task = plain.task(pictures(10), start_frame=1, frame_filter="step=2")
    meta = plain("GET", f"/api/tasks/{task['id']}/data/meta").json
    assert [f["name"] for f in meta["frames"]] == [f"f{i:02d}.png" for i in (1, 3, 5, 7, 9)]
    assert (meta["start_frame"], meta["stop_frame"], meta["size"]) == (1, 9, 5)
    job = plain("GET", "/api/jobs").json["results"][0]
    assert job["stop_frame"] == 4
    assert plain("GET", f"/api/jobs/{job['id']}/data/meta").json["stop_frame"] == 9


def test_directories_are_dropped_and_odd_names_kept(plain: Plain) -> None:
    names = ["ü &%#.png", ".dot.png", "UP.PNG"]
    task = plain.task({"x/y/img.png": picture(), **{name: picture() for name in names}, "note.txt": b"hello"})
    assert sorted(plain.names(task["id"])) == sorted(["img.png", *names])


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a&lt;b.png", "a<b.png"),
        ("a&lt.png", "a<.png"),
        ("n&copy.png", "n\u00a9.png"),
        ("no\u00a0break.png", "nobreak.png"),
        ("zero\u200bwidth.png", "zerowidth.png"),
        ("tab\tbell\x07.png", "tabbell.png"),
        ("x\\y.png", "y.png"),
        (" lead.png", " lead.png"),
    ],
)
def test_names_are_cleaned_as_the_form_parser_of_the_real_server_does(
    plain: Plain, sent: str, kept: str
) -> None:
    task_id = _bare(plain)
    head = (
        '--b\r\nContent-Disposition: form-data; name="image_quality"\r\n\r\n70\r\n'
        f'--b\r\nContent-Disposition: form-data; name="client_files[0]"; filename="{sent}"\r\n\r\n'
    )
    body = head.encode() + picture() + b"\r\n--b--\r\n"
    path = f"/api/tasks/{task_id}/data/"
    begun = plain("POST", path, body=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert plain.wait(begun.json["rq_id"])["status"] == "finished"
    assert plain.names(task_id) == [kept]


@pytest.mark.parametrize("name", ["..", "a.svg", "n.txt"])
def test_what_is_no_picture_by_its_name_is_not_taken(plain: Plain, name: str) -> None:
    begun = plain.send(_bare(plain), {name: picture()})
    assert plain.wait(begun.json["rq_id"])["message"] == "ValueError: No media data found\n"


def test_one_name_twice_is_a_500_and_the_first_copy_stays(plain: Plain) -> None:
    task_id = _bare(plain)
    path = f"/api/tasks/{task_id}/data/"
    first = {"image_quality": "70", "client_files[0]": ("i.png", picture(1), "image/png")}
    assert plain.multipart(path, first, {"Upload-Multiple": ""}).status == 200
    again = {"image_quality": "70", "client_files[0]": ("b/i.png", picture(2), "image/png")}
    got = plain.multipart(path, again, {"Upload-Multiple": ""})
    assert got.status == 500
    assert got.headers["content-type"].startswith("text/html")
    begun = plain("POST", path, {"image_quality": 70}, headers={"Upload-Finish": ""})
    assert plain.wait(begun.json["rq_id"])["status"] == "finished"
    frame = plain("GET", f"/api/tasks/{task_id}/data?type=frame&number=0&quality=original")
    assert frame.data == picture(1)


def test_a_single_request_without_headers_creates(plain: Plain) -> None:
    task_id = _bare(plain)
    fields = {"image_quality": "70", "client_files[0]": ("i.png", picture(), "image/png")}
    got = plain.multipart(f"/api/tasks/{task_id}/data", fields)
    assert got.status == 202
    assert plain.wait(got.json["rq_id"])["status"] == "finished"


def test_files_without_an_index_are_not_taken(plain: Plain) -> None:
    task_id = _bare(plain)
    fields = {"image_quality": "70", "client_files": ("i.png", picture(), "image/png")}
    assert plain.multipart(f"/api/tasks/{task_id}/data/", fields, {"Upload-Multiple": ""}).status == 200
    begun = plain("POST", f"/api/tasks/{task_id}/data/", {"image_quality": 70}, headers={"Upload-Finish": ""})
    ended = plain.wait(begun.json["rq_id"])
    assert (ended["status"], ended["message"]) == ("failed", "ValueError: No media data found\n")


def test_image_quality_is_required(plain: Plain) -> None:
    path = f"/api/tasks/{_bare(plain)}/data/"
    got = plain.multipart(
        path, {"client_files[0]": ("i.png", picture(), "image/png")}, {"Upload-Multiple": ""}
    )
    assert (got.status, got.json) == (400, {"image_quality": ["This field is required."]})


def test_a_corrupt_picture_fails_the_task_for_good(plain: Plain) -> None:
    task_id = _bare(plain)
    begun = plain.send(task_id, {"a.png": picture(), "bad.png": b"no picture"})
    ended = plain.wait(begun.json["rq_id"])
    assert ended["status"] == "failed"
    assert "cannot identify image file" in ended["message"]
    assert "bad.png" in ended["message"]
    assert plain("GET", f"/api/tasks/{task_id}").json["size"] == 0
    assert plain("GET", f"/api/tasks/{task_id}/data/meta").json["frames"] == []
    assert plain("GET", f"/api/tasks/{task_id}/annotations/").json["shapes"] == []
    again = plain.send(task_id, {"b.png": picture()})
    assert plain.wait(again.json["rq_id"])["status"] == "failed"


def test_more_data_for_a_finished_task(plain: Plain) -> None:
    task = plain.task()
    got = plain("POST", f"/api/tasks/{task['id']}/data/", headers={"Upload-Start": ""})
    assert (got.status, got.json) == (400, "Adding more data is not supported")


def test_meta_and_annotations_before_data(plain: Plain) -> None:
    task_id = _bare(plain)
    assert plain("GET", f"/api/tasks/{task_id}/data/meta").status == 500
    assert plain("GET", f"/api/tasks/{task_id}/annotations/").status == 400


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif(plain: Plain, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = picture(3, (40, 20), "JPEG", exif=exif)
    task = plain.task({"e.jpg": data})
    frame = plain("GET", f"/api/tasks/{task['id']}/data/meta").json["frames"][0]
    assert (frame["width"], frame["height"]) == ((20, 40) if orientation >= 5 else (40, 20))
    got = plain("GET", f"/api/tasks/{task['id']}/data?type=frame&number=0&quality=original").data
    assert (got == data) == (orientation == 1)
    assert Image.open(io.BytesIO(got)).size == (frame["width"], frame["height"])


def test_frames_previews_and_chunks(plain: Plain) -> None:
    task = plain.task(pictures(3), chunk_size=2)
    path = f"/api/tasks/{task['id']}"
    original = plain("GET", f"{path}/data?type=frame&number=2&quality=original")
    assert original.data == pictures(3)["f02.png"]
    assert original.headers["content-type"] == "image/png"
    small = plain("GET", f"{path}/data?type=frame&number=2&quality=compressed")
    assert Image.open(io.BytesIO(small.data)).format == "JPEG"
    assert np.asarray(Image.open(io.BytesIO(plain("GET", f"{path}/preview").data))).shape == (16, 24, 3)
    assert plain("GET", f"{path}/data?type=frame&number=3&quality=original").status == 400
    assert plain("GET", f"{path}/data?type=chunk&number=1&quality=original").data[:2] == b"PK"
    assert plain("GET", f"{path}/data").status == 400


def test_tus(plain: Plain, sandbox: Sandbox) -> None:
    task_id, data = _bare(plain), picture(5, (60, 60))
    path = f"/api/tasks/{task_id}/data/"
    assert plain("POST", path, headers=_tus(plain, task_id, "big.png", len(data), Origin="x")).status == 201
    headers = _tus(plain, task_id, "big2.png", len(data))
    made = plain("POST", path, headers=headers)
    assert made.status == 201
    assert made.headers["tus-max-size"] == "26843545600"
    assert plain("POST", path, headers=headers).status == 409
    where = made.headers["location"].removeprefix(plain.url)
    middle = len(data) // 2
    kind = {"Content-Type": "application/offset+octet-stream"}
    got = plain("PATCH", where, body=data[:middle], headers={**kind, "Upload-Offset": "0"})
    assert (got.status, got.headers["upload-offset"]) == (204, str(middle))
    assert plain("HEAD", where).headers["upload-offset"] == str(middle)
    wrong = plain("PATCH", where, body=data[:middle], headers={**kind, "Upload-Offset": "0"})
    assert wrong.status == 409
    assert "upload-offset" not in wrong.headers
    plain("PATCH", where, body=data[middle:], headers={**kind, "Upload-Offset": str(middle)})
    assert plain("HEAD", where).status == 500
    assert (sandbox.options.root / "data" / str(task_id) / "big2.png").read_bytes() == data
    begun = plain("POST", path, {"image_quality": 70}, headers={"Upload-Finish": ""})
    assert plain.wait(begun.json["rq_id"])["status"] == "failed", "big.png was never completed"


def test_tus_refusals(plain: Plain) -> None:
    task_id = _bare(plain)
    path = f"/api/tasks/{task_id}/data/"
    headers = _tus(plain, task_id, "a.png", 5)
    del headers["Origin"]
    assert plain("POST", path, headers=headers).status == 500
    assert plain("POST", path, headers=_tus(plain, task_id, "../a.png", 5)).status == 400
    assert plain("POST", path, headers=_tus(plain, task_id, "a.png", 26843545601)).status == 413


def test_a_cut_upload_leaves_no_file(plain: Plain, sandbox: Sandbox) -> None:
    task_id = _bare(plain)
    path = f"/api/tasks/{task_id}/data/"
    body = b'--x\r\nContent-Disposition: form-data; name="client_files[0]"; filename="a.png"\r\n\r\nhalf'
    kind = {"Content-Type": "multipart/form-data; boundary=x", "Upload-Multiple": ""}
    plain("POST", path, body=body, headers=kind)
    folder = Path(sandbox.options.root / "data" / str(task_id))
    assert list(folder.iterdir()) == []
    assert plain.wait(plain.send(task_id, {"a.png": picture()}).json["rq_id"])["status"] == "finished"


def test_requests_are_listed_and_unknown_ones_are_404(plain: Plain) -> None:
    task = plain.task()
    listed = plain("GET", f"/api/requests?action=create&task_id={task['id']}").json["results"]
    assert [r["operation"]["task_id"] for r in listed] == [task["id"]]
    assert plain("GET", "/api/requests/nope").status == 404
