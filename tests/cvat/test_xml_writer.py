from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agir_cvtoolkit.cvat import read_images_xml
from agir_cvtoolkit.cvat.xml_writer import write_images_xml
from agir_cvtoolkit.labelled import LabelEntry, LabelledPicture, LabelledSet, labels_of_shapes
from agir_cvtoolkit.plain_shapes import to_plain
from agir_cvtoolkit.shapes import Ellipse, Points, Polygon, Polyline, Rectangle, Shape, Skeleton, Tag
from tests.formats.sets import dog, mask, ring_with_hole

numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: v + 0.0)
points = st.tuples(numbers, numbers)
texts = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
    .map(str.strip)
    .filter(bool)
)


def written(*shapes: Shape, tags: tuple[Tag, ...] = (), name: str = "a.png") -> list[LabelledPicture]:
    """Return one picture."""
    return [LabelledPicture("a", name, None, 16, 12, shapes=shapes, tags=tags)]


def there_and_back(
    pictures: list[LabelledPicture],
) -> list[tuple[str, tuple[Shape, ...], tuple[Tag, ...], tuple[tuple[str, str], ...]]]:
    found = [s for p in pictures for s in (*p.shapes, *p.tags)]
    labelled = LabelledSet("t", labels_of_shapes(found), len(pictures), lambda: iter(pictures))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "annotations.xml"
        write_images_xml(labelled, path)
        return [(image.name, image.shapes, image.tags, image.skipped) for image in read_images_xml(path)]


def test_every_kind_of_shape_comes_back_as_it_was() -> None:
    shapes = (
        mask(ring_with_hole()),
        Polygon(
            label="crop", points=((1.5, 1.0), (3.123456, 1.2), (2.5, 4.25)), source="manual", occluded=True
        ),
        Polyline(label="row", points=((1.5, 1.0), (3.0, 1.2)), source="auto", z_order=3, group=2),
        Points(label="tip", points=((1.5, 1.0),), source="manual", attributes={"visibility": "absent"}),
        Rectangle(label="weed", points=((2.0, 3.0), (6.5, 9.0)), source="manual", rotation=30.25),
        Ellipse(label="weed", points=((6.0, 6.0), (9.0, 4.0)), source="manual"),
        dog()[0],
    )
    tags = (Tag(label="dry", source="manual", attributes={"why": 'a < b & "c"'}),)
    ((name, back, found_tags, skipped),) = there_and_back(written(*shapes, tags=tags, name="ä & <b>.png"))
    assert (name, skipped) == ("ä & <b>.png", ())
    assert [to_plain(s) for s in back] == [to_plain(s) for s in shapes]
    assert found_tags == tags
    assert found_tags[0].attributes == tags[0].attributes


@settings(max_examples=40, deadline=None)
@given(st.lists(points, min_size=3, max_size=6), texts, texts)
def test_any_text_and_any_coordinates_come_back(
    ring: list[tuple[float, float]], label: str, value: str
) -> None:
    shape = Polygon(label=label, points=tuple(ring), source="manual", attributes={"note": value})
    ((_, back, _, skipped),) = there_and_back(written(shape))
    assert not skipped
    assert back == (shape,)
    assert back[0].attributes == shape.attributes


def test_what_xml_cannot_hold_is_replaced() -> None:
    shape = Polygon(label="a\x00b\ud800", points=((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)), source="manual")
    ((_, back, _, _),) = there_and_back(written(shape))
    assert back[0].label == "a\ufffdb\ufffd"


def test_joints_keep_the_order_of_their_label(tmp_path: Path) -> None:
    label = LabelEntry("dog", "skeleton", joints=("nose", "left_ear", "right_ear"))
    (skeleton,) = dog()
    assert isinstance(skeleton, Skeleton)
    turned = Skeleton(label="dog", elements=skeleton.elements[::-1], source="manual")
    path = tmp_path / "annotations.xml"
    write_images_xml(LabelledSet("t", (label,), 1, lambda: iter(written(turned))), path)
    (image,) = read_images_xml(path)
    (back,) = image.shapes
    assert isinstance(back, Skeleton)
    assert [element.label for element in back.elements] == list(label.joints)
