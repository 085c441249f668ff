"""What lies in a run as labelled pictures: pulled from CVAT, or predicted."""

from __future__ import annotations

import gc
import mmap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from agir_cvtoolkit.cvat.pose_shapes import shapes_of_poses
from agir_cvtoolkit.errors import DataError, NoRunError
from agir_cvtoolkit.interpolation import shape_on
from agir_cvtoolkit.joints import SCHEMAS, JointSchema, load_schema
from agir_cvtoolkit.json_stream import texts_of
from agir_cvtoolkit.labelled import LabelEntry, LabelledPicture, LabelledSet, Provenance
from agir_cvtoolkit.plain_shapes import from_plain, tag_from_plain, track_from_plain
from agir_cvtoolkit.poses import Pose, read_poses
from agir_cvtoolkit.records import Item, file_stem
from agir_cvtoolkit.runs import Run
from agir_cvtoolkit.shapes import Point, Points, Rectangle, Shape, Skeleton, Tag, Track

from ._classes import class_table, read_classes
from ._originals import Originals
from ._pulled import PulledFrame, PulledTask
from ._run_joints import kept_schema

_PIECE = 1 << 20
_AT_ONCE = 32 * 1024**2
"""Bytes of a job's file up to which it is read whole, in a tenth of the time."""
_TAGS = b'"tags":{'


@dataclass
class Selection:
    """What is taken of a run.

    Attributes:
        tasks: as pulled.
        left_out: ids of jobs of which nothing is taken.
        as_drawn: keep single points and boxes as people drew them; False makes skeletons of them where the task's labels
            are joints.
        pictures: look for the pictures' files.
        split_of: the side of a record.
        items: frames whose shapes could not be read.
    """

    tasks: tuple[PulledTask, ...]
    left_out: Collection[int] = ()
    as_drawn: bool = False
    pictures: bool = True
    split_of: Callable[[str], str | None] = lambda _: None
    items: list[Item] = field(default_factory=list)


@dataclass(frozen=True)
class _Job:
    """One job's file, looked through once.

    Attributes:
        with_shapes: frames in the order of the file.
    """

    task: PulledTask
    path: Path
    frames: Mapping[int, PulledFrame]
    with_shapes: tuple[int, ...]
    tracks: tuple[Track, ...]
    tags: Mapping[int, tuple[Tag, ...]]


def pulled_set(run: Run, selection: Selection) -> LabelledSet:
    """Return the frames of pulled tasks, each record once: of the newest task that has it.

    Raises:
        NoRunError: nothing was pulled, or nothing is left of it.
        DataError: an annotations file is damaged.
    """
    owners: dict[str, tuple[int, int]] = {}
    for task in selection.tasks:
        for frame in task.frames:
            if frame.job_id not in selection.left_out:
                owners[_record_id(task, frame)] = (task.task_id, frame.frame)
    if not owners:
        raise NoRunError(
            f"run {run.run_id} has no finished work from CVAT",
            "Complete the jobs in CVAT, then: agir-cvtoolkit download-cvat",
        )
    labels = _Labels(run)
    jobs = []
    for task in selection.tasks:
        by_job: dict[int, dict[int, PulledFrame]] = {}
        for frame in task.frames:
            if owners.get(_record_id(task, frame)) == (task.task_id, frame.frame):
                by_job.setdefault(frame.job_id, {})[frame.frame] = frame
        jobs += [_looked_through(task, job_id, by_job[job_id], labels) for job_id in sorted(by_job)]
    schema = kept_schema(run)
    if not selection.as_drawn:
        labels.add_poses(jobs, schema)
    names = _Names()
    originals = Originals(run)

    def pictures() -> Iterator[LabelledPicture]:
        for job in jobs:
            yield from _of_job(run, job, selection, schema, names, originals)

    return LabelledSet(run.run_id, labels.entries(), len(owners), pictures)


class _Labels:
    """The labels of a set, those first that have a mask value."""

    def __init__(self, run: Run) -> None:
        path = class_table(run)
        self._values = read_classes(path) if path.is_file() else {}
        self._found: dict[str, LabelEntry] = {}
        self._seen: set[tuple[str, ...]] = set()

    def add(self, shape: Mapping[str, Any]) -> None:
        name = str(shape["label"])
        seen = (name, shape["kind"], *shape["attributes"])
        if seen in self._seen:
            return
        self._seen.add(seen)
        known = self._found.get(name) or LabelEntry(name, value=self._values.get(name))
        attributes = (*known.attributes, *(n for n in shape["attributes"] if n not in known.attributes))
        joints = known.joints
        if shape["kind"] == "skeleton":
            joints = joints or tuple(str(e["label"]) for e in shape["elements"])
        if shape["kind"] == "tag":
            kind = known.kind if name in self._found else "tag"
        else:
            kind = "skeleton" if joints else "any"
        self._found[name] = replace(known, kind=kind, attributes=attributes, joints=joints)

    def add_poses(self, jobs: list[_Job], kept: JointSchema | None) -> None:
        """Add the skeletons that single points become; their joints are no labels of their own then."""
        schemas = {}
        for job in jobs:
            for frame in job.frames.values():
                if frame.poses is not None:
                    schema = _schema_of(job.task.folder / frame.poses, kept)
                    schemas[schema.name] = schema
        for schema in schemas.values():
            for name in [n for n in self._found if schema.resolve(n) is not None]:
                del self._found[name]
            entry = LabelEntry.of_schema(schema)
            known = self._found.get(entry.name)
            drawn = known is not None and bool(known.joints)
            self._found[entry.name] = _linked(known, schema) if known is not None and drawn else entry

    def entries(self) -> tuple[LabelEntry, ...]:
        return tuple(sorted(self._found.values(), key=lambda e: (e.value is None, e.value or 0, e.name)))


def _linked(label: LabelEntry, schema: JointSchema) -> LabelEntry:
    """Add what a schema knows to a label that was drawn as a skeleton, in its own order and spelling."""
    spelled = {schema.resolve(joint): joint for joint in label.joints}
    if not set(spelled) >= set(schema.joints):
        return label
    places = {joint: i for i, joint in enumerate(label.joints)}
    other = {
        spelled[a]: spelled[schema.joints[b]] for a, b in zip(schema.joints, schema.mirrored, strict=True)
    }
    mirrored = tuple(places[other.get(joint, joint)] for joint in label.joints)
    links = tuple((spelled[a], spelled[b]) for a, b in schema.links)
    return replace(label, links=links, mirrored=mirrored)


class _Names:
    """Gives pictures names that are paths below a folder and differ without their suffix."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}

    def name(self, task: PulledTask, frame: PulledFrame) -> str:
        parts = [
            file_stem(part) for part in PurePosixPath(frame.file_name.replace("\\", "/")).parts if part != "/"
        ]
        path = PurePosixPath(*parts)
        key = str(path.with_suffix("")).casefold()
        owner = f"{task.task_id}/{frame.frame}"
        if self._taken.setdefault(key, owner) == owner:
            return str(path)
        return str(PurePosixPath(f"task_{task.task_id}", str(frame.frame), path))


def _record_id(task: PulledTask, frame: PulledFrame) -> str:
    # A picture of somebody else's task may share no more than its name with a record.
    return frame.record_id if frame.sha256 is not None else f"{task.task_id}_{frame.record_id}"


def _looked_through(
    task: PulledTask, job_id: int, frames: Mapping[int, PulledFrame], labels: _Labels
) -> _Job:
    path = task.folder / "annotations" / f"job_{job_id}.json"
    with_shapes: list[int] = []
    tracks: list[Track] = []
    with _readable(path):
        for key, listed in _lists(path):
            if key == "tracks":
                tracks += map(track_from_plain, listed)
            elif key.isdecimal() and int(key) in frames:
                with_shapes.append(int(key))
                for shape in listed:
                    labels.add(shape)
        for track in tracks:
            labels.add({"label": track.label, "attributes": track.attributes} | _joints_of(track))
        tags = _tags(path)
        for tag in (tag for found in tags.values() for tag in found):
            labels.add({"label": tag.label, "attributes": tag.attributes, "kind": "tag"})
    return _Job(task, path, frames, tuple(with_shapes), tuple(tracks), tags)


def _lists(path: Path) -> Iterator[tuple[str, Iterable[Mapping[str, Any]]]]:
    """Yield the lists of a job's file, each with its key; what a large file holds is read one shape at a time."""
    if path.stat().st_size <= _AT_ONCE:
        with _not_collecting():
            content: Any = orjson.loads(path.read_bytes())
        yield from ((key, value) for key, value in content.items() if isinstance(value, list))
        return
    for key, texts in groupby(texts_of(_pieces(path)), key=itemgetter(0)):
        yield key, (orjson.loads(text) for _, text in texts)


def _joints_of(track: Track) -> dict[str, Any]:
    if not track.elements:
        return {"kind": track.keyframes[0].shape.kind if track.keyframes else "any"}
    return {"kind": "skeleton", "elements": [{"label": element.label} for element in track.elements]}


def _tags(path: Path) -> dict[int, tuple[Tag, ...]]:
    """Return the tags of a job; its file is read whole only where it has any."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        # Within a text its quotes would have a backslash.
        if content.find(_TAGS) < 0:
            return {}
        found: Any = orjson.loads(content[:])
    return {int(frame): tuple(map(tag_from_plain, tags)) for frame, tags in found.get("tags", {}).items()}


def _of_job(
    run: Run,
    job: _Job,
    selection: Selection,
    schema: JointSchema | None,
    names: _Names,
    originals: Originals,
) -> Iterator[LabelledPicture]:
    made = partial(_picture, run, job, selection, schema, names, originals)
    without = [n for n in sorted(job.frames) if n not in job.with_shapes]
    ascending = list(job.with_shapes) == sorted(job.with_shapes)
    if job.with_shapes:
        with _readable(job.path):
            for key, listed in _lists(job.path):
                number = int(key) if key.isdecimal() else -1
                if number not in job.frames or number not in job.with_shapes:
                    continue
                while ascending and without and without[0] < number:
                    yield made(without.pop(0), ())
                yield made(number, tuple(map(from_plain, listed)))
    for number in without:
        yield made(number, ())


def _picture(
    run: Run,
    job: _Job,
    selection: Selection,
    schema: JointSchema | None,
    names: _Names,
    originals: Originals,
    number: int,
    drawn: tuple[Shape, ...],
) -> LabelledPicture:
    task, frame = job.task, job.frames[number]
    tracked = (shape_on(track, number, task.deleted_frames) for track in job.tracks)
    shapes = tuple(sorted((*drawn, *(s for s in tracked if s is not None)), key=lambda shape: shape.z_order))
    record_id = _record_id(task, frame)
    if frame.poses is not None and not selection.as_drawn:
        try:
            shapes = _as_skeletons(shapes, task.folder / frame.poses, schema, (frame.width, frame.height))
        except DataError as error:
            selection.items.append(Item(record_id, "failed", str(error)))
    path = None
    if selection.pictures:
        path = originals.find(frame.record_id, frame.sha256, task.folder)
    return LabelledPicture(
        record_id=record_id,
        file_name=names.name(task, frame),
        path=path,
        width=frame.width,
        height=frame.height,
        shapes=shapes,
        tags=job.tags.get(number, ()),
        split=selection.split_of(record_id),
        provenance=Provenance(
            made_by="person",
            run_id=run.run_id,
            task_id=task.task_id,
            job_id=frame.job_id,
            frame=number,
            url=f"{task.url}/jobs/{frame.job_id}?frame={number}",
        ),
    )


def _as_skeletons(
    shapes: tuple[Shape, ...], poses: Path, kept: JointSchema | None, size: tuple[int, int]
) -> tuple[Shape, ...]:
    """Make skeletons of the single points of a picture, and join the boxes to their animals by group numbers."""
    found = read_poses(poses)[1]
    if any(isinstance(shape, Skeleton) for shape in shapes):
        return _with_their_boxes(shapes, found)
    areas = tuple(shape for shape in shapes if not isinstance(shape, Points | Rectangle))
    schema = _schema_of(poses, kept)
    named = next((shape.label for shape in shapes if isinstance(shape, Rectangle)), schema.label)
    made = shapes_of_poses(found, schema, "skeleton", named, size=size)
    return areas + tuple(replace(shape, source="manual") for shape in made)


def _with_their_boxes(shapes: tuple[Shape, ...], poses: tuple[Pose, ...]) -> tuple[Shape, ...]:
    """Give skeletons that were drawn, and the boxes that the pull found to be around them, a group of their own."""
    listed = list(shapes)
    group = max((shape.group for shape in shapes), default=0)
    for pose in poses:
        points = {(point.x, point.y) for point in pose.there.values()}
        if pose.box is None or not points:
            continue
        corners = (pose.box.x, pose.box.y), (pose.box.x + pose.box.width, pose.box.y + pose.box.height)
        box = next(
            (i for i, s in enumerate(listed) if isinstance(s, Rectangle) and s.points == corners), None
        )
        drawn = (i for i, s in enumerate(listed) if isinstance(s, Skeleton) and _places(s) == points)
        skeleton = next(drawn, None)
        if box is None or skeleton is None or 0 != listed[box].group == listed[skeleton].group:
            continue
        group += 1
        for i in (box, skeleton):
            listed[i] = replace(listed[i], group=group)
    return tuple(listed)


def _places(skeleton: Skeleton) -> set[Point]:
    return {element.points[0] for element in skeleton.elements if not element.outside}


def _schema_of(poses: Path, kept: JointSchema | None) -> JointSchema:
    name = read_poses(poses)[0]
    if kept is not None and kept.name == name:
        return kept
    return load_schema(name or SCHEMAS[0])


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            yield piece


@contextmanager
def _not_collecting() -> Iterator[None]:
    """Look for no garbage while a million small lists are made, none of which is any: it would take half the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say which file is damaged."""
    try:
        yield
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise DataError(
            f"{path} cannot be read: {error}", "Remove its folder and run download-cvat again."
        ) from error
