from __future__ import annotations

import os
import zipfile
from collections import Counter
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.cvat import JobAnnotations, LabelSet, annotations_from_json, read_images_xml
from agir_cvtoolkit.cvat.labels import AttributeSpec, LabelSpec
from agir_cvtoolkit.errors import DataError, MaskError
from agir_cvtoolkit.masks import Runs, decode
from agir_cvtoolkit.shapes import Ellipse, Mask, Points, Polygon, Rectangle, Skeleton, Tag

XML = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>2</id><labels>
    <label><name>stem</name><type>skeleton</type><attributes></attributes></label>
    <label><name>1</name><type>points</type><attributes></attributes><parent>stem</parent></label>
    <label><name>2</name><type>points</type><attributes></attributes><parent>stem</parent></label>
  </labels></task></meta>
  <image id="0" name="ä &amp; b.jpg" width="20" height="10">
    <polygon label="plant" source="manual" occluded="1" points="1.50,1.00;3.00,1.20;2.50,4.25" z_order="2">
      <attribute name="score">55</attribute>
    </polygon>
    <skeleton label="stem" source="manual" z_order="0">
      <points label="2" source="manual" outside="1" occluded="0" points="0.00,0.00"></points>
      <points label="1" source="manual" outside="0" occluded="1" points="5.00,6.00"></points>
    </skeleton>
    <mask label="weed" source="auto" occluded="0" rle="1, 2, 1" left="3" top="4" width="2" height="2"></mask>
    <mask label="weed" source="auto" rle="1, 2" left="3" top="4" width="2" height="2"></mask>
    <box label="plant" source="manual" xtl="1.00" ytl="2.00" xbr="3.50" ybr="4.50" rotation="30.00"></box>
    <ellipse label="plant" source="manual" occluded="0" cx="10" cy="5" rx="4" ry="2" z_order="0"></ellipse>
    <cuboid label="plant" source="manual" occluded="0" xtl1="1"></cuboid>
    <hologram label="plant"></hologram>
    <tag label="field" source="manual"></tag>
  </image>
  <image id="1" name="c.jpg" width="20" height="10"></image>
</annotations>
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "annotations.xml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_kind_of_shape_is_read(tmp_path: Path) -> None:
    first, second = read_images_xml(write(tmp_path, XML))
    assert (first.frame, first.name, first.width, first.height) == (0, "ä & b.jpg", 20, 10)
    assert (second.frame, second.shapes) == (1, ())
    polygon, skeleton, mask, broken, box, ellipse = first.shapes
    assert isinstance(polygon, Polygon)
    assert polygon.points == ((1.5, 1.0), (3.0, 1.2), (2.5, 4.25))
    assert (polygon.attributes, polygon.occluded, polygon.z_order) == ({"score": "55"}, True, 2)
    assert isinstance(skeleton, Skeleton)
    assert [element.label for element in skeleton.elements] == ["1", "2"]
    assert [element.outside for element in skeleton.elements] == [False, True]
    assert isinstance(mask, Mask)
    bitmap = decode(Runs(mask.runs, mask.box), (20, 10))
    assert bitmap.sum() == 2
    assert bitmap[4, 4]
    assert bitmap[5, 3]
    # Who draws it fails loudly, as with JSON: a mask without one of its parts would be a lie.
    assert isinstance(broken, Mask)
    with pytest.raises(MaskError, match="sum to 3"):
        decode(Runs(broken.runs, broken.box), (20, 10))
    assert isinstance(box, Rectangle)
    assert (box.points, box.rotation) == (((1.0, 2.0), (3.5, 4.5)), 30.0)
    assert isinstance(ellipse, Ellipse)
    assert (ellipse.points, ellipse.radii) == (((10.0, 5.0), (14.0, 3.0)), (4.0, 2.0))
    assert first.tags == (Tag(label="field", source="manual"),)
    assert [kind for kind, _ in first.skipped] == ["cuboid"]


def test_an_archive_is_read_without_extracting(tmp_path: Path) -> None:
    archive = tmp_path / "export.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("images/a.txt", "x")
        zipped.writestr("annotations.xml", XML)
    before = sorted(tmp_path.rglob("*"))
    assert [image.frame for image in read_images_xml(archive)] == [0, 1]
    assert sorted(tmp_path.rglob("*")) == before
    assert not (tmp_path.parent / "evil.txt").exists()


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l "ha"><!ENTITY m "&l;&l;">]><annotations>&m;</annotations>'
)
FILE = '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations></annotations>'
DEEP = "<annotations>" + "<a>" * 40 + "</a>" * 40 + "</annotations>"
NAMELESS = '<annotations><image id="0" width="1" height="1"></image></annotations>'


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (LAUGHS, "entities"),
        (FILE, "document type"),
        (DEEP, "nested"),
        (NAMELESS, "without id, name or size"),
        ("<annotations><image>", "no sound XML"),
        ("", "no sound XML"),
        ("<html></html>", "no CVAT export"),
        ("<annotations><x>" + "a" * 2_000_000 + "</x></annotations>", "characters"),
    ],
)
def test_hostile_and_broken_files_end_in_one_error(tmp_path: Path, text: str, hint: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=hint) as caught:
        list(read_images_xml(path))
    assert str(path) in caught.value.problem


def test_an_archive_without_annotations_is_an_error(tmp_path: Path) -> None:
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("instances.json", "{}")
    with pytest.raises(DataError, match=r"no annotations\.xml"):
        list(read_images_xml(archive))
    with pytest.raises(DataError, match="cannot be opened"):
        list(read_images_xml(tmp_path / "gone.zip"))


@given(st.integers(0, 4000), st.binary(min_size=1, max_size=8))
def test_damage_anywhere_never_ends_in_another_error(at: int, junk: bytes) -> None:
    import tempfile

    content = XML.encode()
    at %= len(content)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "annotations.xml"
        path.write_bytes(content[:at] + junk + content[at + len(junk) :])
        try:
            for image in read_images_xml(path):
                assert isinstance(image.frame, int)
        except DataError:
            pass


def _genuine() -> Path:
    shared = os.environ.get("AGIR_SHARED_DATA")
    if not shared or not (Path(shared) / "cvat_exports").is_dir():
        pytest.skip("AGIR_SHARED_DATA does not name a folder with cvat_exports/")
    return Path(shared) / "cvat_exports"


@pytest.mark.parametrize("stem", ["dogs_points", "dogs_skeleton"])
def test_a_genuine_export_and_the_servers_json_hold_the_same(stem: str) -> None:
    folder = _genuine()
    by_xml = JobAnnotations(
        0, {image.frame: image.shapes for image in read_images_xml(folder / f"{stem}.xml") if image.shapes}
    )
    answer = orjson.loads((folder / f"{stem}_rest.json").read_bytes())
    # The JSON names labels by id only, so they are matched by the points that both have on a frame.
    labels = _labels_by_geometry(answer, by_xml)
    by_json = annotations_from_json(0, answer, labels)
    assert by_json.skipped == ()
    assert by_json.count == by_xml.count > 0
    assert by_json.keys() == by_xml.keys()


def _labels_by_geometry(answer: dict[str, object], by_xml: JobAnnotations) -> LabelSet:
    names: dict[int, Counter[str]] = {}
    specs: dict[int, Counter[str]] = {}
    places: dict[tuple[int, tuple[tuple[float, float], ...]], set[str]] = {}
    skeletons: set[str] = set()
    order: list[str] = []
    for frame, shapes in by_xml.shapes.items():
        for shape in shapes:
            if isinstance(shape, Skeleton):
                skeletons.add(shape.label)
                order = [element.label for element in shape.elements]
                for element in shape.elements:
                    if not element.outside:
                        places.setdefault((frame, element.points), set()).add(element.label)
            elif isinstance(shape, Points | Rectangle):
                rounded = tuple((round(x, 2), round(y, 2)) for x, y in shape.points)
                places.setdefault((frame, rounded), set()).add(shape.label)
    parents: dict[int, set[int]] = {}
    for item in answer["shapes"]:  # type: ignore[attr-defined]
        for part in [*item["elements"], item]:
            if part is not item:
                parents.setdefault(item["label_id"], set()).add(part["label_id"])
            points = part["points"]
            flat = [round(value, 2) for value in points]
            pairs = tuple(zip(flat[::2], flat[1::2], strict=True))
            for name in places.get((item["frame"], pairs), ()):
                names.setdefault(part["label_id"], Counter())[name] += 1
            for attribute in part["attributes"]:
                specs.setdefault(part["label_id"], Counter())[str(attribute["spec_id"])] += 1
    best = {label_id: found.most_common(1)[0][0] for label_id, found in names.items()}
    unnamed = [name for name in order if name not in best.values()]
    labels = []
    for label_id in {item["label_id"] for item in answer["shapes"]}:  # type: ignore[attr-defined]
        attributes = tuple(AttributeSpec(int(spec), "visibility") for spec in specs.get(label_id, ()))
        sublabels = []
        for sub_id in parents.get(label_id, ()):
            name = best.get(sub_id) or unnamed.pop()
            sublabels.append(LabelSpec(sub_id, name, "points"))
        sublabels.sort(key=lambda sub: order.index(sub.name))
        name = next(iter(skeletons)) if sublabels else best[label_id]
        labels.append(LabelSpec(label_id, name, "any", "", attributes, tuple(sublabels)))
    return LabelSet(tuple(labels))


_IMAGE = '<image id="{0}" name="{0}.jpg" width="9" height="9"{1}></image>'


@pytest.mark.parametrize("kind", ["task", "job"])
def test_the_creation_time_of_the_task_goes_with_each_image(tmp_path: Path, kind: str) -> None:
    meta = (
        f"<{kind}><id>7</id><created>2026-11-21 21:53:46.452001+00:00</created><segments><segment><id>3</id>"
        f"</segment></segments></{kind}>"
    )
    text = f"<annotations><meta>{meta}</meta>{_IMAGE.format(0, '')}</annotations>"
    assert [image.created for image in read_images_xml(write(tmp_path, text))] == [
        "2026-11-21 21:53:46.452001+00:00"
    ]


def test_images_of_a_project_have_the_times_of_their_own_tasks(tmp_path: Path) -> None:
    tasks = "".join(f"<task><id>{n}</id><created>2026-01-0{n}</created></task>" for n in (1, 2))
    meta = f"<meta><project><id>1</id><created>2020-01-01</created><tasks>{tasks}</tasks></project></meta>"
    images = _IMAGE.format(0, ' task_id="2"') + _IMAGE.format(1, ' task_id="1"') + _IMAGE.format(2, "")
    found = list(read_images_xml(write(tmp_path, f"<annotations>{meta}{images}</annotations>")))
    assert [image.created for image in found] == ["2026-01-02", "2026-01-01", None]


def test_an_export_without_times_says_none(tmp_path: Path) -> None:
    text = f"<annotations>{_IMAGE.format(0, '')}</annotations>"
    assert [image.created for image in read_images_xml(write(tmp_path, text))] == [None]
