"""Tracks as a real server 2.42 gave them as JSON, against what it exported for each frame."""

from __future__ import annotations

import random
from pathlib import Path

import orjson
import pytest

from agir_cvtoolkit.cvat import JobAnnotations, LabelSet, annotations_from_json, read_images_xml
from agir_cvtoolkit.cvat.labels import labels_from_json
from agir_cvtoolkit.interpolation import shape_on
from agir_cvtoolkit.plain_shapes import tag_from_plain, tag_to_plain, track_from_plain, track_to_plain
from agir_cvtoolkit.shapes import (
    Ellipse,
    Keyframe,
    Mask,
    Points,
    Polygon,
    Polyline,
    Rectangle,
    Shape,
    Skeleton,
    Track,
)

ANSWERS = Path(__file__).with_name("answers")
CONTENT = orjson.loads((ANSWERS / "tracks.json").read_bytes())
LABELS = LabelSet(labels_from_json(CONTENT["labels"]))


@pytest.fixture(scope="module")
def found() -> JobAnnotations:
    return annotations_from_json(1, CONTENT["annotations"], LABELS)


def described(shape: Shape) -> tuple[object, ...]:
    """Everything that an export says of a shape, numbers as it writes them."""
    head = (
        shape.kind,
        shape.label,
        shape.source,
        shape.z_order,
        shape.group,
        *sorted(shape.attributes.items()),
    )
    if isinstance(shape, Skeleton):
        # Whether it is occluded as a whole is not exported.
        return (*head, *(described(element) for element in shape.elements))
    assert not isinstance(shape, Mask)
    numbers = [value for point in shape.points for value in point]
    if isinstance(shape, Ellipse):
        numbers = [*shape.points[0], *shape.radii]
    if isinstance(shape, Rectangle | Ellipse):
        numbers.append(shape.rotation)
    texts = [f"{number:.2f}".replace("-0.00", "0.00") for number in numbers]
    return (*head, shape.occluded, shape.outside, *texts)


def test_a_track_is_on_every_frame_where_the_server_puts_it(found: JobAnnotations) -> None:
    assert found.skipped == ()
    assert len(found.tracks) == 7
    exported = list(read_images_xml(ANSWERS / "tracks.xml"))
    assert [image.frame for image in exported] == list(range(12))
    kinds = set()
    for image in exported:
        tracked = [shape_on(track, image.frame) for track in found.tracks]
        here = [*found.shapes.get(image.frame, ()), *(shape for shape in tracked if shape is not None)]
        assert sorted(map(described, here), key=repr) == sorted(map(described, image.shapes), key=repr)
        assert image.tags == found.tags.get(image.frame, ())
        kinds |= {shape.kind for shape in here}
    assert kinds == {"rectangle", "ellipse", "polygon", "polyline", "points", "skeleton"}


def test_coordinates_come_as_the_server_keeps_them(found: JobAnnotations) -> None:
    ((points,), (skeleton,)) = found.shapes[1], found.shapes[2]
    assert isinstance(points, Points)
    assert isinstance(skeleton, Skeleton)
    assert points.points == ((1 / 3, 2 / 3),)
    assert skeleton.elements[1].points == ((1.123456789012345, 2e-07),)
    assert (skeleton.group, skeleton.occluded) == (9, True)


def test_nothing_of_tracks_and_tags_is_lost_in_plain_json(found: JobAnnotations) -> None:
    for track in found.tracks:
        assert track_from_plain(orjson.loads(orjson.dumps(track_to_plain(track)))) == track
    for tags in found.tags.values():
        for tag in tags:
            assert tag_from_plain(orjson.loads(orjson.dumps(tag_to_plain(tag)))) == tag


def test_keys_know_tags_and_tracks(found: JobAnnotations) -> None:
    whole = found.keys()
    assert sum(whole.values()) == 3 + 1 + 7
    assert JobAnnotations(1, found.shapes).keys() < whole


def moving(*places: tuple[int, Shape, bool]) -> Track:
    return Track(label="box", keyframes=tuple(Keyframe(frame=f, shape=s, outside=o) for f, s, o in places))


def dot(x: float) -> Points:
    return Points(label="box", points=((x, 0.0),))


def test_deleted_keyframes_move_nothing() -> None:
    track = moving((0, dot(0), False), (2, dot(100), False), (4, dot(8), False))
    for frame, x in ((1, 2.0), (3, 6.0), (4, 8.0)):
        shape = shape_on(track, frame, deleted={2})
        assert isinstance(shape, Points)
        assert shape.points == ((x, 0.0),)
    assert shape_on(track, 2, deleted={2}) is None


def test_before_the_first_keyframe_and_while_outside_there_is_nothing() -> None:
    track = moving((2, dot(0), False), (4, dot(4), True), (6, dot(9), False))
    seen = [frame for frame in range(9) if shape_on(track, frame) is not None]
    assert seen == [2, 3, 6, 7, 8]


def test_a_skeleton_has_all_its_elements_wherever_they_were_drawn_first() -> None:
    body = Skeleton(label="dog", elements=())
    late = Track(label="tail", keyframes=(Keyframe(frame=3, shape=dot(5)),))
    nose = Track(label="nose", keyframes=(Keyframe(frame=0, shape=dot(1)),))
    track = Track(label="dog", keyframes=(Keyframe(frame=0, shape=body),), elements=(nose, late))
    early = shape_on(track, 1)
    assert isinstance(early, Skeleton)
    assert [(e.label, e.outside) for e in early.elements] == [("nose", False), ("tail", True)]


@pytest.mark.parametrize("kind", [Polygon, Polyline])
@pytest.mark.parametrize("seed", range(20))
def test_lines_morph_from_one_keyframe_to_the_next(kind: type[Polygon], seed: int) -> None:
    rng = random.Random(seed)

    def line() -> Polygon:
        count = rng.randint(3, 9)
        return kind(label="box", points=tuple((rng.uniform(0, 9), rng.uniform(0, 9)) for _ in range(count)))

    first, second = line(), line()
    track = moving((0, first, False), (100_000, second, False))
    near = [shape_on(track, 1), shape_on(track, 99_999)]
    for shape, wanted in zip(near, (first, second), strict=True):
        assert isinstance(shape, kind)
        # Hardly moved, every point lies at one of the keyframe's, or between two that fell together.
        assert all(
            min(abs(x - a) + abs(y - b) for a, b in (*wanted.points, *middles(wanted.points))) < 1e-3
            for x, y in shape.points
        )


def middles(points: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    return [((a + c) / 2, (b + d) / 2) for a, b in points for c, d in points]


def test_a_line_of_no_length_and_a_mask_stay_as_they_are() -> None:
    still = Polyline(label="box", points=((1.0, 1.0), (1.0, 1.0)))
    track = moving((0, still, False), (4, Polyline(label="box", points=((1.0, 1.0), (9.0, 9.0))), False))
    held = shape_on(track, 2)
    assert isinstance(held, Polyline)
    assert held.points == still.points


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"label_id": 99999, "shapes": []},
        {"shapes": []},
        {"shapes": [{"type": "cuboid", "frame": 0, "points": [0] * 16}]},
        {"shapes": [{"type": "rectangle", "frame": 0, "points": [0, 1, 2]}]},
        {"shapes": [{"type": "rectangle", "points": [0, 1, 2, 3]}]},
        {"shapes": [{"type": "rectangle", "frame": "x", "points": [0, 1, 2, 3]}]},
        {"shapes": [{"type": "points", "frame": 0, "points": [0, 1]}], "elements": [{"label_id": 1}]},
        {"shapes": "nonsense"},
        {"shapes": [7]},
    ],
)
def test_a_track_that_cannot_be_understood_is_listed_and_fails_nothing(item: dict[str, object]) -> None:
    label = LABELS.find("box").id
    answer = {"tracks": [{"label_id": label, "frame": 2} | item], "shapes": CONTENT["annotations"]["shapes"]}
    found = annotations_from_json(1, answer, LABELS)
    assert found.tracks == ()
    assert [(s.frame, s.kind) for s in found.skipped] == [(2, "track")]
    assert found.skipped[0].reason
    assert found.count == 3
