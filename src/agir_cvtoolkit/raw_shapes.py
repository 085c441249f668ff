"""Annotations just as a server has them, whatever is wrong with them: nothing here was checked.

Labels and attributes are ids of that server, coordinates pixels of the upright picture (x right, y down), flat:
``x1, y1, x2, y2, ...``; of a mask run lengths and box; of an ellipse centre, right and top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = Sequence[float] | NDArray[np.int64]


@dataclass(frozen=True)
class RawAttribute:
    """An attribute of a label: its values are the choices; of a number minimum, maximum and step."""

    id: int
    name: str
    input_type: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class RawLabel:
    """A label of a server.

    Attributes:
        type: of the shapes that it takes; ``any`` for all but skeletons.
        points: of a skeleton its points.
    """

    id: int
    name: str
    type: str = "any"
    attributes: tuple[RawAttribute, ...] = ()
    points: tuple[RawLabel, ...] = ()


@dataclass(frozen=True, eq=False)
class RawShape:
    """A shape, a tag, or where a track is on one of its keyframes.

    Attributes:
        id: of the server; None where it has none.
        kind: ``rectangle``, ``mask``, ..., ``tag``; anything that a server may say.
        points: numbers; empty for tags and skeletons.
        elements: of a skeleton.
        values: of its attributes, by their id.
        is_machine: a program made it, and nobody has worked in its job since.
        in_track: it is part of a track.
    """

    id: int | None
    frame: int
    kind: str
    label_id: int | None
    points: Numbers = ()
    rotation: float = 0.0
    outside: bool = False
    elements: tuple[RawShape, ...] = ()
    values: Mapping[int, str] = field(default_factory=dict)
    is_machine: bool = False
    in_track: bool = False


@dataclass(frozen=True)
class RawJob:
    """What is known of a job before its annotations are read.

    Attributes:
        sizes: width and height of the frames of the whole task, by number.
        deleted: numbers of frames that somebody has taken out of the task.
        frames: numbers of the frames that the job holds; None where that is not known.
        labels: of its task or project, by id.
        is_finished: somebody has marked it as completed.
    """

    id: int
    sizes: Mapping[int, tuple[int, int]]
    deleted: frozenset[int] = frozenset()
    frames: range | frozenset[int] | None = None
    labels: Mapping[int, RawLabel] = field(default_factory=dict)
    is_finished: bool = False
