from __future__ import annotations

import io
import json
import os
import re
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.sandbox import Fault, Sandbox, SandboxOptions

from .plain import Plain, picture, pictures, rectangle, shapes

pytestmark = pytest.mark.integration

_EXPORT = "dataset/export?format=CVAT%20for%20images%201.1"

# Two pictures in the very form of a genuine export: every element kind, formatting and order.
_GENUINE = """  <image id="0" name="f0.jpg" width="48" height="36">
    <polygon label="plant" source="manual" occluded="0" points="0.50,0.00;30.00,1.00;2.00,4.25" z_order="0">
      <attribute name="score">55</attribute>
    </polygon>
    <skeleton label="stem" source="manual" z_order="0">
      <points label="1" source="manual" outside="0" occluded="1" points="510.00,620.00">
      </points>
      <points label="2" source="manual" outside="1" occluded="0" points="520.00,640.00">
      </points>
    </skeleton>
    <box label="plant" source="manual" occluded="1" xtl="1.00" ytl="2.00" xbr="20.50" ybr="32.50" z_order="0">
      <attribute name="score">0</attribute>
    </box>
    <mask label="ear" source="file" occluded="0" rle="1, 2" left="6" top="5" width="3" height="1" z_order="1">
    </mask>
  </image>
  <image id="1" name="f1.jpg" width="48" height="36">
  </image>
"""


def _document(plain: Plain, path: str, images: bool = False) -> tuple[str, zipfile.ZipFile]:
    begun = plain("POST", f"{path}/{_EXPORT}&save_images={images}")
    assert begun.status == 202
    ended = plain.wait(begun.json["rq_id"])
    assert ended["status"] == "finished", ended
    got = plain("GET", ended["result_url"].removeprefix(plain.url))
    assert got.status == 200
    archive = zipfile.ZipFile(io.BytesIO(got.data))
    return archive.read("annotations.xml").decode(), archive


def _labels_from(root: ET.Element) -> list[dict[str, Any]]:
    labels: dict[str, dict[str, Any]] = {}
    for element in root.iterfind("meta/task/labels/label"):
        label: dict[str, Any] = {key: element.findtext(key) for key in ("name", "color", "type")}
        label["attributes"] = [
            {
                "name": attribute.findtext("name"),
                "mutable": attribute.findtext("mutable") == "True",
                "input_type": attribute.findtext("input_type"),
                "default_value": attribute.findtext("default_value"),
                "values": (attribute.findtext("values") or "").split("\n"),
            }
            for attribute in element.iterfind("attributes/attribute")
        ]
        parent = element.findtext("parent")
        if parent is not None:
            labels[parent].setdefault("sublabels", []).append(label)
        else:
            if label["type"] == "skeleton":
                label["svg"] = element.findtext("svg")
            labels[str(label["name"])] = label
    return list(labels.values())


def _points(element: ET.Element) -> list[float]:
    return [float(v) for pair in element.get("points", "").split(";") for v in pair.split(",")]


def _shape_from(element: ET.Element, frame: int, labels: dict[str, dict[str, Any]]) -> dict[str, Any]:
    label = labels[element.get("label", "")]
    ids = {attribute["name"]: attribute["id"] for attribute in label["attributes"]}
    shape: dict[str, Any] = {
        "type": {"box": "rectangle"}.get(element.tag, element.tag),
        "frame": frame,
        "label_id": label["id"],
        "source": element.get("source"),
        "occluded": element.get("occluded") == "1",
        "outside": element.get("outside") == "1",
        "z_order": int(element.get("z_order", 0)),
        "attributes": [
            {"spec_id": ids[a.get("name")], "value": a.text} for a in element.iterfind("attribute")
        ],
    }
    if element.tag == "box":
        shape["points"] = [float(element.get(key, "")) for key in ("xtl", "ytl", "xbr", "ybr")]
    elif element.tag == "mask":
        left, top = int(element.get("left", "")), int(element.get("top", ""))
        right, bottom = left + int(element.get("width", "")) - 1, top + int(element.get("height", "")) - 1
        runs = [int(v) for v in element.get("rle", "").split(",")]
        shape["points"] = [*runs, left, top, right, bottom]
    elif element.tag == "skeleton":
        sublabels = {sub["name"]: sub for sub in label["sublabels"]}
        shape["elements"] = [_shape_from(child, frame, sublabels) for child in element.iterfind("points")]
    else:
        shape["points"] = _points(element)
    return shape


def _steady(text: str) -> str:
    """Sort the elements of each skeleton: their order is the database's and nobody's promise."""

    def ordered(found: re.Match[str]) -> str:
        return found[1] + "".join(sorted(re.findall(r" +<points .*?</points>\n", found[2], re.S))) + found[3]

    return re.sub(r"( +<skeleton [^>]*>\n)(.*?)( +</skeleton>\n)", ordered, text, flags=re.S)


def _rebuilt(plain: Plain, text: str) -> str:
    """Bring an export onto the sandbox over HTTP and export it again."""
    root = ET.fromstring(text)
    images = root.findall("image")
    files = {
        image.get("name", ""): picture(i, (int(image.get("width", "")), int(image.get("height", ""))), "JPEG")
        for i, image in enumerate(images)
    }
    task = plain.task(files, spec={"name": root.findtext("meta/task/name"), "labels": _labels_from(root)})
    found = plain("GET", f"/api/labels?task_id={task['id']}&page_size=100").json["results"]
    labels = {label["name"]: label for label in found}
    items = [_shape_from(element, i, labels) for i, image in enumerate(images) for element in image]
    put = plain("PUT", f"/api/tasks/{task['id']}/annotations/", shapes(*items))
    assert put.status == 200, put.data
    return _document(plain, f"/api/tasks/{task['id']}")[0]


def _images_part(text: str) -> str:
    return _steady(text[text.index("  <image ") : text.index("</annotations>")])


def _labels_part(text: str) -> str:
    return text[text.index("      <labels>") : text.index("</labels>")]


def _meta_names(text: str) -> list[str]:
    meta = ET.fromstring(text).find("meta")
    assert meta is not None
    return [element.tag for element in meta.iter()]


def test_elements_are_written_as_the_real_server_writes_them(plain: Plain) -> None:
    score = (
        "<attribute><name>score</name><mutable>False</mutable><input_type>number</input_type>"
        "<default_value>0</default_value><values>0\n100\n1</values></attribute>"
    )
    sub = "<label><name>{}</name><color>#d12345</color><type>points</type><parent>stem</parent></label>"
    text = (
        "<annotations><meta><task><name>t</name><labels>"
        f"<label><name>plant</name><color>#22aa22</color><type>any</type><attributes>{score}</attributes></label>"
        "<label><name>ear</name><color>#328274</color><type>mask</type><attributes/></label>"
        "<label><name>stem</name><color>#5e7934</color><type>skeleton</type><attributes/><svg>"
        "&lt;circle data-label-name=&quot;1&quot;&gt;&lt;/circle&gt;</svg></label>"
        f"{sub.format(1)}{sub.format(2)}</labels></task></meta>\n{_GENUINE}</annotations>"
    )
    again = _rebuilt(plain, text)
    assert _images_part(again) == _images_part(text)
    assert '&lt;circle data-label-name="1"&gt;&lt;/circle&gt;' in again


@pytest.mark.parametrize("name", ["mixed_shapes", "dogs_points", "dogs_skeleton"])
def test_genuine_exports_come_back_alike(plain: Plain, name: str) -> None:
    folder = os.environ.get("AGIR_SHARED_DATA")
    if not folder:
        pytest.skip("AGIR_SHARED_DATA names no folder with genuine exports")
    text = (Path(folder) / "cvat_exports" / f"{name}.xml").read_text(encoding="utf-8")
    again = _rebuilt(plain, text)
    assert _images_part(again) == _images_part(text)
    assert _labels_part(again) == _labels_part(text)
    assert _meta_names(again) == _meta_names(text)


@pytest.mark.parametrize("name", ["dogs_points", "dogs_skeleton"])
def test_rest_answers_have_the_genuine_shape(plain: Plain, name: str) -> None:
    folder = os.environ.get("AGIR_SHARED_DATA")
    if not folder:
        pytest.skip("AGIR_SHARED_DATA names no folder with genuine exports")
    exports = Path(folder) / "cvat_exports"
    genuine = json.loads((exports / f"{name}_rest.json").read_text(encoding="utf-8"))
    _rebuilt(plain, (exports / f"{name}.xml").read_text(encoding="utf-8"))
    ours = plain("GET", "/api/tasks/1/annotations/").json

    def described(answer: dict[str, Any]) -> tuple[object, ...]:
        kinds: dict[str, set[str]] = {}
        for shape in answer["shapes"]:
            for item in (shape, *shape["elements"]):
                kinds.setdefault(item["type"], set()).update(
                    f"{k}:{type(v).__name__}" for k, v in item.items()
                )
        points = sorted(
            (s["frame"], s["type"], tuple(round(v, 2) for v in s["points"]), len(s["elements"]))
            for s in answer["shapes"]
        )
        return list(answer), kinds, points

    assert described(ours) == described(genuine)


def test_projects_and_jobs(plain: Plain) -> None:
    project = plain.project([{"name": "plant"}])
    label = plain.labels(project["id"])["plant"]["id"]
    first = plain.task(pictures(4), project_id=project["id"], spec={"segment_size": 2})
    plain.task(pictures(2), project_id=project["id"], spec={"subset": "Train"})
    plain("PUT", f"/api/tasks/{first['id']}/annotations/", shapes(rectangle(label, 1), rectangle(label, 3)))
    text, archive = _document(plain, f"/api/projects/{project['id']}", images=True)
    images = ET.fromstring(text).findall("image")
    assert [image.get("task_id") for image in images] == ["1"] * 4 + ["2"] * 2
    assert [image.get("subset") for image in images] == ["default"] * 4 + ["Train"] * 2
    assert "images/Train/f01.png" in archive.namelist()
    job = plain("GET", f"/api/jobs?task_id={first['id']}").json["results"][0]
    text, _ = _document(plain, f"/api/jobs/{job['id']}")
    root = ET.fromstring(text)
    assert root.findtext("meta/job/id") == str(job["id"])
    assert [image.get("id") for image in root.findall("image")] == ["2", "3"]
    assert [len(image) for image in root.findall("image")] == [0, 1]


def test_pictures_come_along_unchanged(plain: Plain) -> None:
    task = plain.task(pictures(2))
    _, archive = _document(plain, f"/api/tasks/{task['id']}", images=True)
    assert archive.read("images/f01.png") == pictures(2)["f01.png"]


def test_unknown_formats(plain: Plain) -> None:
    task = plain.task()
    assert plain("POST", f"/api/tasks/{task['id']}/dataset/export?format=Nope").status == 400
    assert plain("POST", f"/api/tasks/{task['id']}/dataset/export").status == 400


def test_no_data_are_added_while_a_task_is_made(tmp_path: Path) -> None:
    with Sandbox(SandboxOptions(tmp_path, simulated_work=0.5)) as sandbox:
        plain = Plain(sandbox.url)
        plain.log_in()
        task_id = plain("POST", "/api/tasks", {"name": "t", "labels": [{"name": "a"}]}).json["id"]
        begun = plain.send(task_id, pictures(1))
        again = plain(
            "POST", f"/api/tasks/{task_id}/data/", {"image_quality": 70}, headers={"Upload-Finish": ""}
        )
        assert (again.status, again.json) == (400, "Adding more data is not supported")
        assert plain.wait(begun.json["rq_id"])["status"] == "finished"


def test_creation_goes_on_after_a_restart(tmp_path: Path) -> None:
    with Sandbox(SandboxOptions(tmp_path)) as sandbox:
        plain = Plain(sandbox.url)
        plain.log_in()
        task_id = plain("POST", "/api/tasks", {"name": "t", "labels": [{"name": "a"}]}).json["id"]
        sandbox.add_fault(Fault(path="/data/$", action="cut_before", method="POST", nth=3))
        with pytest.raises(Exception, match=r"aborted|reset"):
            plain.send(task_id, pictures(1))
    with Sandbox(SandboxOptions(tmp_path)) as sandbox:
        again = Plain(sandbox.url)
        again.headers = plain.headers
        begun = again(
            "POST", f"/api/tasks/{task_id}/data/", {"image_quality": 70}, headers={"Upload-Finish": ""}
        )
        assert again.wait(begun.json["rq_id"])["status"] == "finished"
        assert again.names(task_id) == ["f00.png"]
