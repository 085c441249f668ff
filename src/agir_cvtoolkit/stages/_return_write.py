"""Annotated frames into the store, batch by batch: first the corrections, then the captures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from agir_cvtoolkit.captures import Capture, LabeledPose
from agir_cvtoolkit.cvat.pose_shapes import poses_of_shapes
from agir_cvtoolkit.firebase import CaptureStore, Written, picture_key, same_keypoints
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.pose_quality import Population
from agir_cvtoolkit.poses import Pose
from agir_cvtoolkit.progress import Bar
from agir_cvtoolkit.records import Item

from ._return_documents import Corrections, Picture, corrections_of
from ._return_frames import FrameSurvey, ReturnedFrame, time_in_id
from ._return_history import ReturnHistory
from ._return_names import CaptureNames, Unknown

BATCH = 200
"""Frames that are written together: few requests, and little to do again after a kill."""
_HALF = 0.5
_MOST_NAMED = 5


@dataclass
class Returned:
    """What came back so far.

    Attributes:
        frames: that were looked at.
        matched: of them, those that are captures of the store.
        animals: whose joints are in the store now.
        new, changed, same: documents, as the store says; withdrawn ones are among them.
        freed: of `changed`, those that a trigger had reserved: they count as corrections once more.
        withdrawn: documents of animals that were taken out since.
        completed: captures that were not completed before.
        empty: ids of captures on whose picture nobody has drawn anything yet.
        proposals: captures of which every shape is as a model proposed it.
        items: what was not taken, with the reason.
        notices: what was taken and deserves a look.
    """

    frames: int = 0
    matched: int = 0
    animals: int = 0
    new: int = 0
    changed: int = 0
    same: int = 0
    freed: int = 0
    withdrawn: int = 0
    completed: int = 0
    empty: list[str] = field(default_factory=list)
    proposals: list[str] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    notices: list[Item] = field(default_factory=list)


@dataclass(frozen=True)
class _Found:
    """A frame that is a capture, with what could be read on it."""

    frame: ReturnedFrame
    picture: Picture
    poses: tuple[Pose, ...]
    whole: bool


class Writer:
    """Writes frames into the store.

    Args:
        store: where the captures are.
        schema: the joints that count.
        names: of the pictures of captures.
        survey: of all frames.
        population: what is usual among labelled animals.
        image_path: template of the key of a capture's picture.
        history: takes what came back, for the lives of the pictures; None where nobody writes them down.
        dry_run: look only.
    """

    def __init__(
        self,
        store: CaptureStore,
        schema: JointSchema,
        names: CaptureNames,
        survey: FrameSurvey,
        population: Population,
        image_path: str,
        *,
        history: ReturnHistory | None = None,
        dry_run: bool,
    ) -> None:
        self.found = Returned()
        self._store = store
        self._schema = schema
        self._names = names
        self._survey = survey
        self._population = population
        self._image_path = image_path
        self._history = history
        self._dry_run = dry_run

    def write(self, frames: Iterable[ReturnedFrame], bar: Bar) -> None:
        """Write all frames; what was written stays when it is interrupted, and is found by the next call."""
        left = iter(frames)
        while batch := list(islice(left, BATCH)):
            self._write(batch)
            bar.advance(len(batch))

    def _write(self, batch: Sequence[ReturnedFrame]) -> None:
        asked = {name: None for frame in batch for name in self._names.asked_of(frame.name)}
        known = self._store.get(asked)
        found = [here for frame in batch if (here := self._read(frame, known)) is not None]
        before = self._store.labeled(dict.fromkeys(here.picture.capture.capture_id for here in found))
        now = datetime.now(UTC)
        documents: dict[str, LabeledPose] = {}
        done: dict[str, Capture] = {}
        for here in found:
            capture_id = here.picture.capture.capture_id
            # Of a project the same capture may come twice in one batch: the second task sees what the first one said.
            ahead = [pose for pose in documents.values() if pose.capture_id == capture_id]
            made = self._corrections(here, [*before.get(capture_id, ()), *ahead], now)
            for pose in (*made.poses, *made.withdrawn):
                documents[pose.document_id] = pose
            self.found.animals += len(made.poses)
            self.found.withdrawn += len(made.withdrawn)
            if made.poses or (here.frame.finished and here.whole):
                done[capture_id] = here.picture.capture
        written = self._put(list(documents.values()), before)
        self.found.new += len(written.new)
        self.found.changed += len(written.changed)
        self.found.same += len(written.same)
        reserved = {p.document_id for poses in before.values() for p in poses if p.trigger_id}
        self.found.freed += len(reserved.intersection(written.changed))
        self.found.completed += self._complete(list(done.values()), now)
        if self._history is not None and not self._dry_run:
            self._history.add(documents.values(), written, before)

    def _read(self, frame: ReturnedFrame, known: Mapping[str, Capture]) -> _Found | None:
        self.found.frames += 1
        reason = self._unusable(frame)
        capture = self._names.resolve(frame.name, known)
        if isinstance(capture, Unknown):
            reason = capture.reason
        time = time_in_id(frame.created)
        if reason is not None or time is None or isinstance(capture, Unknown):
            self.found.items.append(Item(frame.name, "failed", f"{frame.place}: {reason}"))
            return None
        self.found.matched += 1
        problems = list(frame.skipped)
        read = poses_of_shapes(frame.shapes, self._schema, frame.size)
        problems += read.problems
        poses = []
        for number, pose in enumerate(read.poses, 1):
            if pose.there:
                poses.append(pose)
            else:
                problems.append(f"animal {number} has no joint with a place")
        if problems:
            # One item a picture: a schema that is not the task's would make one of each point.
            named = "; ".join(problems[:_MOST_NAMED])
            rest = f"; and {len(problems) - _MOST_NAMED} more" if len(problems) > _MOST_NAMED else ""
            self.found.items.append(Item(capture.capture_id, "skipped", f"{frame.place}: {named}{rest}"))
        self._note(frame, capture, poses)
        key = picture_key(self._image_path, capture.capture_id)
        picture = Picture(capture, time, frame.size, key, frame.annotator)
        return _Found(frame, picture, tuple(poses), not problems)

    def _unusable(self, frame: ReturnedFrame) -> str | None:
        if self._survey.is_doubled(frame):
            return "another frame of its task has the same file name, so both could be that capture"
        if time_in_id(frame.created) is None:
            return (
                "the export does not say when its task was made; export the task from CVAT, or use --task-id"
            )
        return None

    def _note(self, frame: ReturnedFrame, capture: Capture, poses: Sequence[Pose]) -> None:
        expected = self._schema.of_group(capture.joint_group)
        for number, pose in enumerate(poses, 1):
            said = sum(joint in pose.keypoints for joint in expected)
            if said < _HALF * len(expected):
                text = f"{frame.place}: animal {number} is half-annotated: {said} of {len(expected)} joints"
                self.found.notices.append(Item(capture.capture_id, "half-annotated", text))
        if not frame.shapes and not frame.skipped and not frame.finished:
            self.found.empty.append(capture.capture_id)
        if frame.shapes and not frame.finished and all(shape.source == "auto" for shape in frame.shapes):
            self.found.proposals.append(capture.capture_id)

    def _corrections(self, here: _Found, before: Sequence[LabeledPose], now: datetime) -> Corrections:
        frame = here.frame
        return corrections_of(
            here.picture,
            here.poses,
            before,
            self._schema,
            self._population,
            now,
            may_withdraw=here.whole and (frame.finished or bool(here.poses)),
            opinions=[poses_of_shapes(seen, self._schema, frame.size).poses for seen in frame.opinions],
        )

    def _put(self, documents: Sequence[LabeledPose], before: Mapping[str, Sequence[LabeledPose]]) -> Written:
        if not documents:
            return Written()
        return _rehearsed(documents, before) if self._dry_run else self._store.write_labeled(documents)

    def _complete(self, captures: Sequence[Capture], now: datetime) -> int:
        waiting = [capture.capture_id for capture in captures if capture.status != "completed"]
        if self._dry_run or not waiting:
            return len(waiting)
        return len(self._store.complete(waiting, now))


def _rehearsed(documents: Sequence[LabeledPose], before: Mapping[str, Sequence[LabeledPose]]) -> Written:
    known = {pose.document_id: pose for poses in before.values() for pose in poses}
    new = [pose.document_id for pose in documents if pose.document_id not in known]
    there = [pose for pose in documents if pose.document_id in known]
    same = {p.document_id for p in there if same_keypoints(known[p.document_id].keypoints, p.keypoints)}
    changed = [pose.document_id for pose in there if pose.document_id not in same]
    return Written(tuple(new), tuple(changed), tuple(sorted(same)))
