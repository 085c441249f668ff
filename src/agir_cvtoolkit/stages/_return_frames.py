"""Annotated frames from an export of CVAT, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from agir_cvtoolkit.records import Item
from agir_cvtoolkit.shapes import Shape

FrameSource = Callable[[], Iterator["ReturnedFrame"]]
"""Gives the frames anew each time that it is called."""


@dataclass(frozen=True)
class ReturnedFrame:
    """What people made of one picture.

    Attributes:
        name: of the picture's file in CVAT.
        place: where it is, for people.
        task: what tells its task from others in the same source.
        size: width and height in pixels.
        created: when its task was made, as CVAT writes it; None where that is not known.
        skipped: what of it could not be understood, with the reason.
        finished: whether somebody has said that nothing is left to do on it.
        annotator: account of the person; empty where it is not known.
        opinions: what gold frames and other annotators have on the same picture.
    """

    name: str
    place: str
    task: str
    size: tuple[int, int]
    created: str | None
    shapes: tuple[Shape, ...]
    skipped: tuple[str, ...] = ()
    finished: bool = False
    annotator: str = ""
    opinions: tuple[tuple[Shape, ...], ...] = ()


@dataclass(frozen=True)
class ReturnSource:
    """Where annotated frames come from.

    Attributes:
        name: for people.
        frames: gives them.
        survey: looks at all of them; an export that is damaged is found out by it.
        failed: what could not be read so far.
    """

    name: str
    frames: FrameSource
    survey: Callable[[], FrameSurvey]
    failed: Callable[[], tuple[Item, ...]] = tuple


@dataclass
class FrameSurvey:
    """What is known of all frames before the first one is returned.

    Attributes:
        frames: how many there are.
        times: creation times of their tasks, as `time_in_id` writes them.
        doubled: task and stem of pictures that are there twice under one name.
    """

    frames: int = 0
    times: set[str] = field(default_factory=set)
    doubled: set[tuple[str, str]] = field(default_factory=set)
    _seen: set[tuple[str, str]] = field(default_factory=set)

    def see(self, task: str, name: str, created: str | None) -> None:
        """Take note of a frame: its task, the name of its file, and when its task was made."""
        self.frames += 1
        key = (task, stem_of(name))
        (self.doubled if key in self._seen else self._seen).add(key)
        time = time_in_id(created)
        if time is not None:
            self.times.add(time)

    def is_doubled(self, frame: ReturnedFrame) -> bool:
        """Whether another frame of its task goes by the same name."""
        return (frame.task, stem_of(frame.name)) in self.doubled


def stem_of(name: str) -> str:
    """Return the name of a picture's file without folders and suffix."""
    return PurePosixPath(name.replace("\\", "/")).stem


def time_in_id(created: str | None) -> str | None:
    """Return a time of CVAT as it stands in the ids of corrections: UTC, basic format of ISO 8601, whole seconds."""
    if not created:
        return None
    try:
        moment = datetime.fromisoformat(created.strip())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return f"{moment.year:04d}{moment:%m%dT%H%M%SZ}"


def export_source(path: Path) -> ReturnSource:
    """Return the source of the frames of an export "CVAT for images 1.1": a file ``.xml`` or ``.zip``.

    Whether somebody has finished a frame is not in an export.
    """
    from agir_cvtoolkit.cvat import read_images_xml

    def frames() -> Iterator[ReturnedFrame]:
        for image in read_images_xml(path):
            task = f"task {image.task}, " if image.task else ""
            yield ReturnedFrame(
                name=image.name,
                place=f"{task}frame {image.frame}",
                task=image.task or "",
                size=(image.width, image.height),
                created=image.created,
                shapes=image.shapes,
                skipped=tuple(f"{kind}: {reason}" for kind, reason in image.skipped),
            )

    def survey() -> FrameSurvey:
        found = FrameSurvey()
        for frame in frames():
            found.see(frame.task, frame.name, frame.created)
        return found

    return ReturnSource(str(path), frames, survey)
