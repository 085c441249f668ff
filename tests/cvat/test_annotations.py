"""Writing and reading shapes, with answers lost on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from agir_cvtoolkit.cvat import (
    CvatSession,
    FrameMap,
    JobInfo,
    LabelSet,
    PictureToSend,
    Response,
    TaskRequest,
    create_task_with_pictures,
    find_jobs,
    read_job,
    read_job_by_export,
    read_labels,
    write_new,
)
from agir_cvtoolkit.cvat.doubled import remove_doubled
from agir_cvtoolkit.cvat.job_content import annotations_from_json
from agir_cvtoolkit.cvat.labels import LabelSpec
from agir_cvtoolkit.errors import LabelError, ServerFaultError, ShapeError
from agir_cvtoolkit.masks import encode
from agir_cvtoolkit.sandbox import Fault, Sandbox
from agir_cvtoolkit.shapes import Mask, Points, Polygon, Rectangle, Shape, Skeleton, Tag

from .fakes import FakeTransport, ok, opened

COUNT = 4


def mask(seed: int, width: int = 40, height: int = 30) -> Mask:
    runs = encode(np.random.default_rng(seed).random((height, width)) > 0.6)
    assert runs is not None
    return Mask(label="weed", runs=runs.lengths, box=runs.box)


def proposals() -> dict[int, list[Shape]]:
    dog = Skeleton(
        label="dog",
        elements=(
            Points(label="nose", points=((3.25, 4.5),), occluded=True),
            Points(label="tail", points=((0.0, 0.0),), outside=True),
        ),
    )
    return {
        0: [mask(1), mask(2), Polygon(label="Plant", points=((1, 1), (9.5, 1), (5, 8.25)), confidence=0.5)],
        1: [],
        2: [Rectangle(label="plant", points=((2.5, 3.0), (20.0, 25.0)), rotation=30.0), dog],
        3: [mask(3)],
    }


class Work:
    def __init__(self, session: CvatSession, frames: FrameMap) -> None:
        self.session = session
        self.frames = frames
        self.labels: LabelSet = read_labels(session, task_id=frames.task_id)

    @property
    def job(self) -> JobInfo:
        return find_jobs(self.session, task_ids=[self.frames.task_id], required_status=None)[0]

    def shapes(self) -> int:
        return read_job(self.session, self.job.id).count


@pytest.fixture
def work(session: CvatSession, project_id: int, pictures: Callable[[int], list[PictureToSend]]) -> Work:
    made = create_task_with_pictures(session, TaskRequest("push-1", project_id), pictures(COUNT))
    return Work(session, made.frame_map)


pytestmark = pytest.mark.integration


def test_what_is_written_is_read_back_exactly(work: Work) -> None:
    written = write_new(work.session, work.job, proposals())
    assert (written.asked, written.sent, written.found) == (6, 6, 6)
    assert {frame: len(found) for frame, found in written.hashes.items()} == {0: 3, 2: 2, 3: 1}
    found = read_job(work.session, work.job.id)
    assert found.skipped == ()
    for frame, listed in written.hashes.items():
        assert {shape.geometry_hash() for shape in found.shapes[frame]} == set(listed)
    polygon = next(shape for shape in found.shapes[0] if isinstance(shape, Polygon))
    assert polygon.label == "plant"
    # A server with scores keeps the confidence there, an older one in the attribute.
    assert polygon.attributes["confidence"] == ("" if work.session.capabilities.score else "0.5000")
    assert polygon.confidence == 0.5


def test_the_official_export_holds_the_same_shapes(work: Work) -> None:
    write_new(work.session, work.job, proposals())
    by_json = read_job(work.session, work.job.id)
    by_export = read_job_by_export(work.session, work.job, work.frames)
    assert by_export.keys() == by_json.keys()


def test_shapes_come_in_the_order_of_their_ids() -> None:
    def polygon(number: int, label_id: int) -> dict[str, object]:
        return {
            "id": number,
            "type": "polygon",
            "frame": 0,
            "label_id": label_id,
            "points": [0, 0, 9, 0, 9, 9],
        }

    labels = LabelSet((LabelSpec(1, "weed"), LabelSpec(2, "crop")))
    found = annotations_from_json(3, {"shapes": [polygon(8, 1), polygon(5, 2), polygon(7, 1)]}, labels)
    assert [shape.label for shape in found.shapes[0]] == ["crop", "weed", "weed"]


def test_where_labels_overlap_the_older_shape_is_known_by_either_way(sandbox: Sandbox, work: Work) -> None:
    below = Mask(label="weed", runs=np.array([0, 16], dtype=np.int32), box=(2, 2, 5, 5))
    above = Mask(label="plant", runs=np.array([0, 16], dtype=np.int32), box=(4, 4, 7, 7))
    write_new(work.session, work.job, {0: [below, above]})
    sandbox.forget_requests()
    by_export = read_job_by_export(work.session, work.job, work.frames)
    assert [shape.label for shape in by_export.shapes[0]] == ["weed", "plant"]
    assert any(seen.target.endswith("/annotations/") for seen in sandbox.requests())


def test_writing_again_changes_nothing(sandbox: Sandbox, work: Work) -> None:
    write_new(work.session, work.job, proposals())
    sandbox.forget_requests()
    again = write_new(work.session, work.job, proposals())
    assert (again.asked, again.sent, again.found) == (6, 0, 6)
    assert {seen.method for seen in sandbox.requests()} == {"GET"}


def test_equal_shapes_are_written_as_often_as_asked(work: Work) -> None:
    twice: dict[int, list[Shape]] = {0: [mask(1), mask(1)]}
    assert write_new(work.session, work.job, twice).found == 2
    assert write_new(work.session, work.job, twice).found == 2


def test_nothing_to_write_sends_nothing(sandbox: Sandbox, work: Work) -> None:
    job = work.job
    sandbox.forget_requests()
    assert write_new(work.session, job, {0: [], 1: []}).found == 0
    assert {seen.method for seen in sandbox.requests()} == {"GET"}


def test_a_persons_shapes_stay(work: Work) -> None:
    write_new(work.session, work.job, {0: [mask(9)]})
    assert write_new(work.session, work.job, proposals()).found == 7


@pytest.mark.parametrize(("change", "left"), [({}, 1), ({"source": "manual"}, 2), ({"occluded": True}, 2)])
def test_only_what_is_there_twice_in_every_respect_is_taken_out(
    work: Work, change: dict[str, object], left: int
) -> None:
    """A person's shape in the place of one of ours is hers, also when a repeated request came in twice."""
    written = write_new(work.session, work.job, {0: [mask(1)]})
    path = f"/api/jobs/{work.job.id}/annotations/"
    (first,) = work.session.get(path, "read")["shapes"]
    second = {name: value for name, value in first.items() if name != "id"} | change
    content = {"version": 0, "tags": [], "tracks": [], "shapes": [second]}
    work.session.send_json("PATCH", path, "add", content, {"action": "create"})
    key = (0, written.hashes[0][0])
    remove_doubled(work.session, work.job.id, work.labels, Counter({key: 1}))
    found = work.session.get(path, "read")["shapes"]
    assert len(found) == left
    assert first["id"] in {shape["id"] for shape in found}


def test_large_writes_go_in_several_bodies_and_may_be_made_on_the_way(sandbox: Sandbox, work: Work) -> None:
    def one_by_one() -> Iterator[tuple[int, Sequence[Shape]]]:
        for number in range(12):
            yield number % COUNT, [mask(number)]

    sandbox.forget_requests()
    written = write_new(work.session, work.job, one_by_one(), body_bytes=4000)
    assert written.found == 12
    methods = [seen.method for seen in sandbox.requests() if "annotations" in seen.target]
    assert methods.count("PATCH") > 3
    assert "PUT" not in methods, "a repeated PUT could wipe what somebody drew in between"


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("action", ["cut_before", "cut_after", "status"])
def test_a_lost_answer_makes_no_duplicate_and_loses_nothing(
    sandbox: Sandbox, work: Work, nth: int, action: str
) -> None:
    fault = Fault("/annotations", action, method="PATCH", nth=nth, times=2, status=502)  # type: ignore[arg-type]
    sandbox.add_fault(fault)
    shapes: dict[int, list[Shape]] = {frame: [mask(frame), mask(frame + 10)] for frame in range(COUNT)}
    assert write_new(work.session, work.job, shapes, body_bytes=3000).found == 8
    lost = [seen for seen in sandbox.requests() if seen.method == "PATCH" and seen.status in {None, 502}]
    assert len(lost) >= 1


def test_a_write_that_broke_off_is_continued(sandbox: Sandbox, work: Work) -> None:
    sandbox.add_fault(Fault("/annotations", "status", method="PATCH", nth=2, times=0, status=502))
    shapes: dict[int, list[Shape]] = {frame: [mask(frame), mask(frame + 10)] for frame in range(COUNT)}
    with pytest.raises(ServerFaultError):
        write_new(work.session, work.job, shapes, body_bytes=3000)
    before = work.shapes()
    assert 0 < before < 8
    sandbox.faults.replace(())
    written = write_new(work.session, work.job, shapes, body_bytes=3000)
    assert (written.sent, written.found) == (8 - before, 8)


def test_wrong_frames_and_labels_are_refused_before_anything_is_sent(sandbox: Sandbox, work: Work) -> None:
    job = work.job
    sandbox.forget_requests()
    with pytest.raises(ShapeError, match="Frame 99 is not in job"):
        write_new(work.session, job, {99: [mask(1)]})
    with pytest.raises(LabelError, match="Label 'vetch' not in task"):
        write_new(work.session, job, {0: [Polygon(label="vetch", points=((0, 0), (1, 0), (1, 1)))]})
    with pytest.raises(ShapeError, match="does not lie in a picture"):
        write_new(work.session, job, {0: [mask(1, 80, 60)]})
    assert {seen.method for seen in sandbox.requests()} == {"GET"}


def test_of_several_jobs_each_takes_its_own_frames(
    session: CvatSession, project_id: int, pictures: Callable[[int], list[PictureToSend]]
) -> None:
    made = create_task_with_pictures(session, TaskRequest("t", project_id, segment_size=3), pictures(7))
    jobs = find_jobs(session, task_ids=[made.task_id], required_status=None)
    written = [write_new(session, job, {frame: [mask(frame)] for frame in job.frames}) for job in jobs]
    assert [count.found for count in written] == [3, 3, 1]
    with pytest.raises(ShapeError, match="Frame 3 is not in job"):
        write_new(session, jobs[0], {3: [mask(3)]})


LABELS = LabelSet((LabelSpec(1, "weed", "mask"), LabelSpec(2, "field", "tag")))


def test_what_is_no_shape_is_kept_apart_or_named() -> None:
    answer = {
        "shapes": [{"type": "cuboid", "frame": 0, "label_id": 1, "points": [0] * 16}, "nonsense"],
        "tags": [{"frame": 1, "label_id": 2}, {"frame": 1, "label_id": 77}],
        "tracks": [{"frame": 3}],
        "intervals": [{}],
    }
    found = annotations_from_json(5, answer, LABELS)
    assert found.tags == {1: (Tag(label="field", source="manual"),)}
    listed = [(s.frame, s.kind) for s in found.skipped]
    assert listed == [(0, "cuboid"), (1, "tag"), (3, "track"), (-1, "interval")]
    assert annotations_from_json(5, {}, LABELS).count == 0
    assert annotations_from_json(5, {"shapes": None}, LABELS).count == 0


def test_shapes_that_the_server_drops_are_missed() -> None:
    transport = FakeTransport(
        {
            "GET /api/jobs/5/annotations/": ok({"shapes": []}),
            "PATCH /api/jobs/5/annotations/": ok({"shapes": []}),
            "GET /api/tasks/2/data/meta": ok({"frames": [{"name": "a.png", "width": 40, "height": 30}]}),
            "GET /api/labels": ok({"next": None, "results": [{"id": 1, "name": "weed", "type": "mask"}]}),
        }
    )
    job = JobInfo(5, 2, "new", "annotation", "annotation", 0, 0, "")
    with pytest.raises(ServerFaultError, match="lacks 1 of the 1 shapes"):
        write_new(opened(transport), job, {0: [mask(1)]})


@pytest.mark.parametrize(
    ("answer", "reads"),
    [
        (ok({"shapes": [{"id": 7, "frame": 0}], "tags": [], "tracks": []}), 1),
        (ok({"shapes": [{"id": None, "frame": 0}]}), 2),
        (ok({"shapes": [{"frame": 0}]}), 2),
        (ok({}), 2),
        (Response(200, {}, b'{"shapes": [{"id": 7'), 2),
    ],
)
def test_what_the_server_gave_no_id_is_looked_for(answer: Response, reads: int) -> None:
    there = {"shapes": [{"id": 7, "type": "mask", "frame": 0, "label_id": 1, "points": [0, 2, 0, 0, 1, 0]}]}
    read = "GET /api/jobs/5/annotations/"
    transport = FakeTransport(
        {
            read: [ok({"shapes": []}), ok(there)],
            "PATCH /api/jobs/5/annotations/": answer,
            "GET /api/tasks/2/data/meta": ok({"frames": [{"name": "a.png", "width": 40, "height": 30}]}),
            "GET /api/labels": ok({"next": None, "results": [{"id": 1, "name": "weed", "type": "mask"}]}),
        }
    )
    runs = np.array([0, 2], dtype=np.int32)
    job = JobInfo(5, 2, "new", "annotation", "annotation", 0, 0, "")
    written = write_new(opened(transport), job, {0: [Mask(label="weed", runs=runs, box=(0, 0, 1, 0))]})
    assert (written.asked, written.sent, written.found) == (1, 1, 1)
    assert len(transport.of(read)) == reads
