"""Shapes: what a model proposes and what a person corrects.

Coordinates are pixels of the upright picture, x to the right, y down, origin at the top left corner of the
top left pixel. A label is a name here; ids belong to one server and stay in the `cvat` room.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ShapeKind = Literal["mask", "polygon", "polyline", "rectangle", "ellipse", "points", "skeleton", "tag"]
Point = tuple[float, float]


@dataclass(frozen=True, eq=False, kw_only=True)
class Mask:
    """A bit mask as run lengths inside a box.

    Attributes:
        label: name of the label.
        runs: int32 array, lengths of alternating runs, row-major inside the box, background first (the first
            may be 0); they sum to the area of the box.
        box: left, top, right, bottom in whole pixels, right and bottom *inclusive*.
        confidence: of the model, in [0, 1]; None for a person's shape.
        source: who made it, as CVAT keeps it (``manual``, ``auto``, ...).
        attributes: values by attribute name.
        group: number of the group that the shape belongs to, as CVAT keeps it; 0 for none.
    """

    label: str
    runs: NDArray[np.int32]
    box: tuple[int, int, int, int]
    confidence: float | None = None
    source: str = "auto"
    attributes: Mapping[str, str] = field(default_factory=dict)
    occluded: bool = False
    z_order: int = 0
    group: int = 0

    kind: Literal["mask"] = field(default="mask", init=False)

    def geometry_hash(self) -> str:
        """Return a hash of kind, label, box and runs; equal for equal geometry whoever stored it."""
        digest = hashlib.sha256(f"mask|{self.label}|{self.box}|".encode())
        digest.update(self.runs.astype("<i4").tobytes())
        return digest.hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class _PointShape:
    label: str
    points: tuple[Point, ...]
    confidence: float | None = None
    source: str = "auto"
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)
    occluded: bool = False
    outside: bool = False
    z_order: int = 0
    group: int = 0

    kind: ShapeKind = field(default="points", init=False)

    def geometry_hash(self) -> str:
        """Return a hash of kind, label and points rounded to 1/100 pixel, the precision that CVAT exports."""
        points = ";".join(f"{_hundredths(x)},{_hundredths(y)}" for x, y in self.points)
        return hashlib.sha256(f"{self.kind}|{self.label}|{points}".encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Polygon(_PointShape):
    """A closed outline; the last point is joined to the first."""

    kind: ShapeKind = field(default="polygon", init=False)


@dataclass(frozen=True, kw_only=True)
class Polyline(_PointShape):
    """An open line."""

    kind: ShapeKind = field(default="polyline", init=False)


@dataclass(frozen=True, kw_only=True)
class Points(_PointShape):
    """One or more single points."""


@dataclass(frozen=True, kw_only=True)
class Rectangle(_PointShape):
    """A box given by two opposite corners, turned clockwise by `rotation` degrees about its centre."""

    rotation: float = 0.0
    kind: ShapeKind = field(default="rectangle", init=False)

    def geometry_hash(self) -> str:
        """Return the hash of corners and rotation."""
        corners = super().geometry_hash()
        return hashlib.sha256(f"{corners}|{_hundredths(self.rotation)}".encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Ellipse(_PointShape):
    """An ellipse, turned clockwise by `rotation` degrees about its centre.

    Attributes:
        points: two: the centre, and (centre x + horizontal radius, centre y - vertical radius), both before
            the turn, as CVAT keeps them.
    """

    rotation: float = 0.0
    kind: ShapeKind = field(default="ellipse", init=False)

    @property
    def radii(self) -> Point:
        """The horizontal and the vertical radius before the turn."""
        (cx, cy), (right, top) = self.points
        return right - cx, cy - top

    def geometry_hash(self) -> str:
        """Return the hash of points and rotation."""
        points = super().geometry_hash()
        return hashlib.sha256(f"{points}|{_hundredths(self.rotation)}".encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """Named points that belong together.

    Attributes:
        elements: the points, each with the sublabel's name, in the order of the label; an absent one has
            `outside` set.
    """

    label: str
    elements: tuple[Points, ...]
    confidence: float | None = None
    source: str = "auto"
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)
    occluded: bool = False
    z_order: int = 0
    group: int = 0

    kind: Literal["skeleton"] = field(default="skeleton", init=False)

    def geometry_hash(self) -> str:
        """Return a hash of all elements with their visibility."""
        parts = "|".join(f"{e.geometry_hash()}{e.outside:d}{e.occluded:d}" for e in self.elements)
        return hashlib.sha256(f"skeleton|{self.label}|{parts}".encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A label of a picture as a whole."""

    label: str
    confidence: float | None = None
    source: str = "auto"
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)
    group: int = 0

    kind: Literal["tag"] = field(default="tag", init=False)

    def geometry_hash(self) -> str:
        """Return a hash of the label: a tag has no geometry."""
        return hashlib.sha256(f"tag|{self.label}".encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Keyframe:
    """Where a person has set an object of a sequence.

    Attributes:
        frame: number of the frame in the task.
        shape: as it is there.
        outside: the object is not to be seen from here to the next keyframe.
    """

    frame: int
    shape: Shape
    outside: bool = False


@dataclass(frozen=True, kw_only=True)
class Track:
    """One object through the frames of a sequence.

    Attributes:
        keyframes: by frame, ascending; between them CVAT interpolates.
        attributes: those that hold for all frames.
        elements: of a skeleton its points, each with the sublabel's name and keyframes of its own, in the
            order of the label; the skeletons in `keyframes` have none.
    """

    label: str
    keyframes: tuple[Keyframe, ...]
    source: str = "manual"
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)
    group: int = 0
    elements: tuple[Track, ...] = ()

    kind: Literal["track"] = field(default="track", init=False)

    def geometry_hash(self) -> str:
        """Return a hash of all keyframes with their visibility, and of the elements."""
        parts = [f"{k.frame}:{k.shape.geometry_hash()}{k.outside:d}" for k in self.keyframes]
        parts += [element.geometry_hash() for element in self.elements]
        return hashlib.sha256(f"track|{self.label}|{'|'.join(parts)}".encode()).hexdigest()[:32]


def _hundredths(value: float) -> str:
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text


Shape = Mask | Polygon | Polyline | Points | Rectangle | Ellipse | Skeleton
