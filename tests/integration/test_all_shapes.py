"""Shapes of every kind through a server: what comes back is what was sent, to the last digit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from agir_cvtoolkit.cvat import (
    Credentials,
    CvatSession,
    FrameMap,
    JobInfo,
    LabelSet,
    NewLabel,
    PictureToSend,
    TaskRequest,
    create_project,
    create_task_with_pictures,
    find_jobs,
    read_job,
    read_job_by_export,
    read_labels,
    write_new,
)
from agir_cvtoolkit.interpolation import shape_on
from agir_cvtoolkit.masks import Runs, decode, encode
from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions
from agir_cvtoolkit.shapes import (
    Ellipse,
    Mask,
    Points,
    Polygon,
    Polyline,
    Rectangle,
    Shape,
    Skeleton,
    Tag,
)

from .conftest import FastClock
from .workspace import CREDENTIALS

pytestmark = pytest.mark.integration

WIDTH, HEIGHT = 61, 47
_Item = TypeVar("_Item", bound=Shape | Tag)
NAMES = ("nose", "ear", "tail")
STAGES = ("young", "old")


def attribute(name: str, kind: str, values: list[str], default: str) -> dict[str, object]:
    return {"name": name, "mutable": True, "input_type": kind, "default_value": default, "values": values}


ATTRIBUTES = (
    attribute("stage", "select", list(STAGES), "young"),
    attribute("note", "text", [""], ""),
    attribute("height", "number", ["0", "10", "1"], "0"),
    attribute("wet", "checkbox", ["false"], "false"),
)


@dataclass(frozen=True)
class Task:
    session: CvatSession
    frames: FrameMap
    labels: LabelSet

    @property
    def job(self) -> JobInfo:
        return find_jobs(self.session, task_ids=[self.frames.task_id], required_status=None)[0]


@pytest.fixture
def task(sandbox: Sandbox, tmp_path: Path) -> Task:
    return made(sandbox, tmp_path, 3)


def made(sandbox: Sandbox, folder: Path, count: int) -> Task:
    session = CvatSession.open(Credentials(sandbox.url, *CREDENTIALS), clock=FastClock())
    labels = (
        NewLabel("thing", "any", attributes=ATTRIBUTES),
        NewLabel("animal", "skeleton", attributes=ATTRIBUTES, sublabels=NAMES),
        NewLabel("weather", "tag", attributes=ATTRIBUTES),
        NewLabel("sure", "any", attributes=(attribute("confidence", "text", [""], ""),)),
    )
    project = create_project(session, "Kinds", labels)
    pictures = []
    for number in range(count):
        path = folder / f"{number}.png"
        save_png(np.full((HEIGHT, WIDTH, 3), number, dtype=np.uint8), path)
        pictures.append(PictureToSend(path.name, path, WIDTH, HEIGHT))
    created = create_task_with_pictures(session, TaskRequest("kinds", project.id), pictures)
    return Task(session, created.frame_map, read_labels(session, task_id=created.task_id))


# --- anything that a person or a model may draw ----------------------------------------------------------------

POINT = st.tuples(st.floats(0, WIDTH), st.floats(0, HEIGHT))
SOURCES = st.sampled_from(["auto", "manual", "semi-auto", "file"])
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6).map(str.strip)
VALUES = st.fixed_dictionaries(
    {
        "stage": st.sampled_from(STAGES),
        "note": TEXTS,
        "height": st.integers(0, 10).map(str),
        "wet": st.sampled_from(["true", "false"]),
    }
)
WORDS: dict[str, st.SearchStrategy[Any]] = {
    "label": st.just("thing"),
    "source": SOURCES,
    "attributes": VALUES,
    "occluded": st.booleans(),
    "z_order": st.integers(-4, 4),
    "group": st.integers(0, 3),
}


def bitmap(pixels: NDArray[np.bool_], corner: tuple[float, float], **words: Any) -> Mask:
    left, top = int(corner[0] * (WIDTH - pixels.shape[1])), int(corner[1] * (HEIGHT - pixels.shape[0]))
    pixels[0, 0] |= not pixels.any()
    whole = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
    whole[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    runs = encode(whole)
    assert runs is not None
    return Mask(runs=runs.lengths, box=runs.box, **words)


CORNERS = st.tuples(st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0.0, 0.6, 1.0]))
SMALL = hnp.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))
WHOLE = st.sampled_from([0.0, 0.1, 0.5, 1.0]).map(
    lambda share: np.random.default_rng(int(share * 10)).random((HEIGHT, WIDTH)) < share
)
MASKS = st.builds(bitmap, SMALL | WHOLE, CORNERS, **WORDS)


def box(x: float, y: float, wide: float, high: float, **words: Any) -> Rectangle:
    left, top = x * (WIDTH - 1), y * (HEIGHT - 1)
    corner = (left + 0.5 + wide * (WIDTH - left - 0.5), top + 0.5 + high * (HEIGHT - top - 0.5))
    return Rectangle(points=((left, top), corner), **words)


def ellipse(centre: tuple[float, float], rx: float, ry: float, **words: Any) -> Ellipse:
    return Ellipse(points=(centre, (centre[0] + rx, centre[1] - ry)), **words)


def skeleton(places: list[tuple[float, float]], seen: list[tuple[bool, bool]], **words: Any) -> Skeleton:
    elements = tuple(
        Points(label=name, points=(place,), occluded=occluded, outside=outside, source=words["source"])
        for name, place, (occluded, outside) in zip(NAMES, places, seen, strict=True)
    )
    if all(outside for _, outside in seen):
        elements = (replace(elements[0], outside=False), *elements[1:])
    return Skeleton(elements=elements, **words)


SHARE = st.floats(0, 0.98)
TURN = st.just(0.0) | st.floats(0, 359.99)
RADIUS = st.floats(0.01, 40)
SIGHT = st.tuples(st.booleans(), st.booleans())
SHAPES: st.SearchStrategy[Shape | Tag] = st.one_of(
    MASKS,
    st.builds(Polygon, points=st.lists(POINT, min_size=3, max_size=9).map(tuple), **WORDS),
    st.builds(Polyline, points=st.lists(POINT, min_size=2, max_size=9).map(tuple), **WORDS),
    st.builds(Points, points=st.lists(POINT, min_size=1, max_size=5).map(tuple), **WORDS),
    st.builds(box, SHARE, SHARE, SHARE, SHARE, rotation=st.just(0.0), **WORDS),
    st.builds(
        Rectangle,
        points=st.tuples(st.floats(-20, 20), st.floats(-20, 20)).map(lambda c: (c, (c[0] + 25, c[1] + 25))),
        rotation=st.floats(0.1, 359.9),
        **WORDS,
    ).filter(lambda shape: shape.points[1] > (6, 6)),
    st.builds(ellipse, POINT, RADIUS, RADIUS, rotation=TURN, **WORDS),
    st.builds(
        skeleton,
        st.lists(POINT, min_size=3, max_size=3),
        st.lists(SIGHT, min_size=3, max_size=3),
        **WORDS | {"label": st.just("animal")},
    ),
    st.builds(Tag, label=st.just("weather"), source=SOURCES, attributes=VALUES, group=st.integers(0, 3)),
)


def _without_score_of_1(item: _Item) -> _Item:
    return replace(item, confidence=None) if item.confidence == 1.0 else item


def described(item: Shape | Tag) -> str:
    """Everything of a shape, as text that tells any difference.

    From 2.60 on servers put a score of 1 where none was sent; it is taken for none.
    """
    if isinstance(item, Skeleton):
        item = replace(item, elements=tuple(_without_score_of_1(element) for element in item.elements))
    item = _without_score_of_1(replace(item, attributes=dict(sorted(item.attributes.items()))))
    if isinstance(item, Mask):
        return repr((replace(item, runs=np.empty(0, np.int32)), item.runs.tolist()))
    return repr(item)


def same(one: list[Shape | Tag], other: list[Shape | Tag]) -> bool:
    return Counter(map(described, one)) == Counter(map(described, other))


# Each example goes through a server: making a failing one smaller would take minutes.
THROUGH_A_SERVER = settings(
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@settings(THROUGH_A_SERVER, max_examples=25)
@given(st.lists(SHAPES, min_size=6, max_size=14))
def test_what_comes_back_is_what_was_sent(task: Task, shapes: list[Shape | Tag]) -> None:
    path = f"/api/jobs/{task.job.id}/annotations/"
    assert task.session.request("DELETE", path, "empty the job").status == 204
    sent = {frame: shapes[frame::3] for frame in range(3)}
    written = write_new(task.session, task.job, sent, labels=task.labels, frame_map=task.frames)
    assert (written.asked, written.sent, written.found) == (len(shapes),) * 3
    back = read_job(task.session, task.job.id, task.labels)
    assert back.skipped == ()
    for frame, wanted in sent.items():
        assert same(wanted, [*back.shapes.get(frame, ()), *back.tags.get(frame, ())])
    again = write_new(task.session, task.job, sent, labels=task.labels, frame_map=task.frames)
    assert again.sent == 0


@settings(THROUGH_A_SERVER, max_examples=5)
@given(st.lists(MASKS, min_size=2, max_size=6), st.lists(SHAPES, max_size=3))
def test_the_export_carries_the_same_as_the_json(
    task: Task, masks: list[Mask], others: list[Shape | Tag]
) -> None:
    """Also where it would not: a job with polygons or tracks is read as JSON after all."""
    path = f"/api/jobs/{task.job.id}/annotations/"
    assert task.session.request("DELETE", path, "empty the job").status == 204
    sent: dict[int, list[Shape | Tag]] = {0: [*masks[::2]], 1: [*masks[1::2], *others]}
    write_new(task.session, task.job, sent, labels=task.labels)
    by_json = read_job(task.session, task.job.id, task.labels)
    by_export = read_job_by_export(task.session, task.job, task.frames)
    assert by_export.shapes.keys() == by_json.shapes.keys()
    for frame, wanted in by_json.shapes.items():
        assert same(list(wanted), list(by_export.shapes[frame]))
    assert by_export.tags == by_json.tags


PIXELS: dict[str, Callable[[], NDArray[np.bool_]]] = {
    "one pixel": lambda: lit((20, 30)),
    "each corner": lambda: lit((0, 0), (0, WIDTH - 1), (HEIGHT - 1, 0), (HEIGHT - 1, WIDTH - 1)),
    "full": lambda: np.ones((HEIGHT, WIDTH), dtype=np.bool_),
    "border": lambda: np.pad(np.zeros((HEIGHT - 2, WIDTH - 2), dtype=np.bool_), 1, constant_values=True),
    "checkers": lambda: np.indices((HEIGHT, WIDTH)).sum(axis=0) % 2 == 0,
    "one column": lambda: np.arange(WIDTH) == np.full((HEIGHT, 1), WIDTH - 1),
    "noise": lambda: np.random.default_rng(1).random((HEIGHT, WIDTH)) < 0.5,
}


def lit(*places: tuple[int, int]) -> NDArray[np.bool_]:
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
    for place in places:
        mask[place] = True
    return mask


def test_masks_bit_for_bit(task: Task) -> None:
    runs = {name: encode(draw()) for name, draw in PIXELS.items()}
    masks = [Mask(label="thing", runs=r.lengths, box=r.box) for r in runs.values() if r is not None]
    write_new(task.session, task.job, {1: masks}, labels=task.labels)
    for found in (
        read_job(task.session, task.job.id, task.labels),
        read_job_by_export(task.session, task.job, task.frames),
    ):
        back = [
            decode(Runs(mask.runs, mask.box), (WIDTH, HEIGHT))
            for mask in found.shapes[1]
            if isinstance(mask, Mask)
        ]
        assert {pixels.tobytes() for pixels in back} == {draw().tobytes() for draw in PIXELS.values()}


@pytest.mark.parametrize(("version", "score"), [("2.42.0", False), ("2.60.0", True)])
def test_confidence_goes_to_the_server_and_back(tmp_path: Path, version: str, score: bool) -> None:
    polygon = Polygon(label="thing", points=((1.0, 1.0), (9.0, 1.0), (9.0, 9.0)), confidence=0.8125)
    sure = Polygon(label="sure", points=polygon.points, confidence=0.8125)
    tag = Tag(label="sure", source="auto", confidence=0.5)
    with Sandbox(SandboxOptions(tmp_path / "sandbox", version=version)) as sandbox:
        task = made(sandbox, tmp_path, 1)
        assert task.session.capabilities.score == score
        sent: dict[int, list[Shape | Tag]] = {0: [polygon, sure, tag]}
        write_new(task.session, task.job, sent, labels=task.labels)
        found = read_job(task.session, task.job.id, task.labels)
    by_label = {shape.label: shape for shape in found.shapes[0]}
    assert by_label["thing"].confidence == (0.8125 if score else None)
    assert by_label["sure"].confidence == 0.8125
    assert (
        "confidence" in by_label["sure"].attributes and by_label["sure"].attributes["confidence"] != ""
    ) == (not score)
    # No server has a score for tags: theirs goes into the attribute.
    assert [found.confidence for found in found.tags[0]] == [0.5]


TRACK = ("rectangle", [1.0, 2.0, 10.0, 12.0], [5.0, 3.0, 20.0, 12.5])


@pytest.fixture
def tracked(task: Task) -> Task:
    kind, first, last = TRACK
    shapes = [
        {
            "type": kind,
            "frame": frame,
            "points": points,
            "occluded": False,
            "outside": False,
            "attributes": [],
        }
        for frame, points in ((0, first), (2, last))
    ]
    label = task.labels.find("thing").id
    track = {
        "frame": 0,
        "label_id": label,
        "group": 0,
        "source": "manual",
        "shapes": shapes,
        "attributes": [],
    }
    content = {"version": 0, "tags": [], "shapes": [], "tracks": [track]}
    task.session.send_json("PUT", f"/api/jobs/{task.job.id}/annotations/", "draw a track", content)
    return task


def test_tracks_of_a_person_are_read_and_stay(tracked: Task) -> None:
    square = Polygon(label="thing", points=((1.0, 1.0), (9.0, 1.0), (9.0, 9.0)))
    write_new(tracked.session, tracked.job, {1: [square]}, labels=tracked.labels)
    for found in (
        read_job(tracked.session, tracked.job.id, tracked.labels),
        read_job_by_export(tracked.session, tracked.job, tracked.frames),
    ):
        (track,) = found.tracks
        middle = shape_on(track, 1)
        assert isinstance(middle, Rectangle)
        assert middle.points == ((3.0, 2.5), (15.0, 12.25))
        assert [shape.kind for shape in found.shapes[1]] == ["polygon"]
