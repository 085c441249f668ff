"""What is wrong with an annotation, and how that can be repaired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agir_cvtoolkit.raw_shapes import RawLabel, RawShape

if TYPE_CHECKING:
    from agir_cvtoolkit.raw_shapes import Numbers

RULES = {
    "out_of_bounds": "a point lies outside the picture",
    "degenerate": "a shape without area or points",
    "broken_mask": "run lengths that do not fill the box, or a box outside the picture",
    "duplicate": "the same shape twice",
    "unknown_label": "a label that the project does not have",
    "label_type": "a shape of a type that its label does not take",
    "skeleton": "points of a skeleton are missing, doubled or foreign",
    "attribute": "an attribute or value that the label does not have",
    "deleted_frame": "shapes on a picture that was taken out of the task",
    "wrong_frame": "a shape on a picture that is not in the job",
    "empty_job": "a completed job without any annotation",
    "unreadable": "something that cannot be understood",
}
"""What is looked for, by the name of the rule."""


@dataclass(frozen=True)
class Repair:
    """How a shape is repaired; nothing else about it changes.

    Attributes:
        says: for people.
        drop: it is deleted.
        points: its new points.
        element_points: new points of elements, by the id of their label.
        absent: labels of a skeleton's points that are added, marked as absent (outside).
        values: new values of attributes, by their id.
    """

    says: str
    drop: bool = False
    points: Numbers | None = field(default=None, hash=False, compare=False)
    element_points: Mapping[int, Numbers] = field(default_factory=dict, hash=False, compare=False)
    absent: tuple[int, ...] = ()
    values: Mapping[int, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        rule: a key of `RULES`.
        frame: None where it is the job as a whole.
        shape_id: of the server; None where it is no single shape.
        next_step: what a person can do about it.
        repair: None where a person has to.
        is_machine: the shape is a program's, and nobody has worked in its job.
    """

    rule: str
    problem: str
    next_step: str
    frame: int | None = None
    shape_id: int | None = None
    kind: str = ""
    label: str = ""
    repair: Repair | None = None
    is_machine: bool = False


def found_in(
    shape: RawShape,
    label: RawLabel | None,
    rule: str,
    problem: str,
    next_step: str,
    repair: Repair | None = None,
) -> Finding:
    """Return a finding about a shape; what is in a track, or has no id, is never repaired."""
    return Finding(
        rule,
        problem,
        next_step,
        shape.frame,
        shape.id,
        shape.kind,
        label.name if label is not None else "",
        None if shape.in_track or shape.id is None else repair,
        shape.is_machine,
    )
