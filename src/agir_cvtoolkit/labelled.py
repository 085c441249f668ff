"""Labelled pictures: what crosses the doorway between a run, the other formats and the checks of quality.

A set of them is a stream: pictures are made when they are asked for, one after the other, so memory does not grow with
the set. Coordinates are those of every shape: pixels of the upright picture, x to the right, y down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .joints import JointSchema
from .shapes import Shape, ShapeKind, Skeleton, Tag

COLOURS = (
    "#2e7d32", "#c62828", "#1565c0", "#f9a825", "#6a1b9a", "#00838f", "#ef6c00", "#ad1457", "#558b2f", "#4527a0",
    "#0277bd", "#d84315",
)  # fmt: skip
"""Of labels that have none, in turn."""


@dataclass(frozen=True)
class LabelEntry:
    """One label of a set.

    Attributes:
        name: as shapes carry it.
        kind: of the shapes that it takes; ``any`` for all but skeletons.
        color: ``#rrggbb``; None where nobody has chosen one.
        value: of its pixels in a mask, 1..255; None where it has none.
        joints: of a skeleton its points, in their order.
        links: pairs of joints that a limb or the trunk joins.
        mirrored: for each joint the place of the joint that it becomes when the picture is mirrored.
        attributes: names.
    """

    name: str
    kind: ShapeKind | str = "any"
    color: str | None = None
    value: int | None = None
    joints: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    mirrored: tuple[int, ...] = ()
    attributes: tuple[str, ...] = ()

    @classmethod
    def of_schema(cls, schema: JointSchema, name: str | None = None) -> LabelEntry:
        """Return the skeleton label of a pose schema."""
        return cls(
            name=name or schema.label,
            kind="skeleton",
            joints=schema.joints,
            links=schema.links,
            mirrored=schema.mirrored,
        )


@dataclass(frozen=True)
class Provenance:
    """Where the shapes of a picture come from.

    Attributes:
        made_by: ``person``, ``model`` or ``file``.
        run_id: of the run that they lie in; None for a file's.
        task_id, job_id, frame: in CVAT; None where they never were there.
        url: of the frame in CVAT, or of the file.
        who: user name of the job's assignee, or name and version of the model.
        finished: the job was completed.
        changed: when the job was last changed (ISO 8601); None where nobody knows.
    """

    made_by: str
    run_id: str | None = None
    task_id: int | None = None
    job_id: int | None = None
    frame: int | None = None
    url: str | None = None
    who: str | None = None
    finished: bool = True
    changed: str | None = None


@dataclass(frozen=True, eq=False)
class LabelledPicture:
    """One picture with its shapes.

    Attributes:
        record_id: unique in a set.
        file_name: a relative path with ``/``, unique in a set: how another format calls the picture.
        path: of the picture's file; None where it is not at hand.
        width, height: in pixels, upright.
        shapes: the lowest first, as CVAT draws them.
        tags: what the picture is labelled with as a whole.
        split: ``train``, ``val`` or ``test``; None where nothing was divided.
        provenance: where the shapes come from.
    """

    record_id: str
    file_name: str
    path: Path | None
    width: int
    height: int
    shapes: tuple[Shape, ...] = ()
    tags: tuple[Tag, ...] = ()
    split: str | None = None
    provenance: Provenance = field(default_factory=lambda: Provenance("file"))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.width, self.height


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """Labelled pictures that belong together.

    Attributes:
        name: of the run, the task or the file.
        labels: in the order in which other formats number them; every shape's label is one of them.
        count: of pictures, for a progress bar; None where only reading to the end tells.
        pictures: makes the stream anew each time it is called.
    """

    name: str
    labels: tuple[LabelEntry, ...]
    count: int | None
    pictures: Callable[[], Iterator[LabelledPicture]] = field(repr=False)

    def __iter__(self) -> Iterator[LabelledPicture]:
        """Read the pictures from the first one on."""
        return self.pictures()

    def label(self, name: str) -> LabelEntry | None:
        """Return the label of a name, or None."""
        return next((label for label in self.labels if label.name == name), None)


def coloured(labels: Iterable[LabelEntry]) -> Mapping[str, str]:
    """Return a colour ``#rrggbb`` for each label: its own, else one of `COLOURS` in turn."""
    return {label.name: label.color or COLOURS[i % len(COLOURS)] for i, label in enumerate(labels)}


def labels_of_shapes(
    shapes: Iterable[Shape | Tag], known: Iterable[LabelEntry] = ()
) -> tuple[LabelEntry, ...]:
    """Return the known labels, followed by those that shapes carry beside them, sorted by name.

    A skeleton that nobody has described has the joints of its first occurrence, in their order there.
    """
    found = {label.name: label for label in known}
    added: dict[str, LabelEntry] = {}
    for shape in shapes:
        if shape.label in found or shape.label in added:
            continue
        joints = tuple(e.label for e in shape.elements) if isinstance(shape, Skeleton) else ()
        kind = shape.kind if isinstance(shape, Skeleton | Tag) else "any"
        added[shape.label] = LabelEntry(shape.label, kind, joints=joints)
    return (*found.values(), *(added[name] for name in sorted(added)))
