"""What a project should be: a project file as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .session import UNSET, Organization
from .skeleton_drawing import Drawing, draw

LABEL_TYPES = (
    "any", "mask", "polygon", "rectangle", "points", "polyline", "ellipse", "cuboid", "skeleton", "tag",
)  # fmt: skip
INPUT_TYPES = ("select", "radio", "checkbox", "number", "text")


@dataclass(frozen=True)
class WantedAttribute:
    """An attribute of a label.

    Attributes:
        values: the choices; of a number minimum, maximum and step; else the default alone.
        was: its name on the server until now.
    """

    name: str
    input_type: str
    values: tuple[str, ...]
    default: str
    mutable: bool = True
    was: str | None = None

    def as_request(self, attribute_id: int | None = None) -> dict[str, object]:
        """Return it as the server wants to read it; `attribute_id` of the one that it changes."""
        wanted: dict[str, object] = {
            "name": self.name,
            "mutable": self.mutable,
            "input_type": self.input_type,
            "default_value": self.default,
            "values": list(self.values),
        }
        return wanted if attribute_id is None else {"id": attribute_id} | wanted


@dataclass(frozen=True)
class WantedPoint:
    """A point of a skeleton; `color` None lets the server choose, `was` is its name until now."""

    name: str
    color: str | None = None
    attributes: tuple[WantedAttribute, ...] = ()
    was: str | None = None

    def as_request(self) -> dict[str, object]:
        """Return it as the server wants to read a new one."""
        wanted: dict[str, object] = {"name": self.name, "type": "points", "attributes": _new(self.attributes)}
        return wanted if self.color is None else wanted | {"color": self.color}


@dataclass(frozen=True)
class WantedLabel:
    """A label.

    Attributes:
        color: ``#rrggbb`` in lower case; None lets the server choose, and leaves what it has chosen.
        points: of a skeleton, in its order.
        drawing: of a skeleton; None for other types.
        placed: points whose place in the drawing the file says; the others may lie anywhere.
        joined: the file says the edges; else any will do.
        was: its name on the server until now.
    """

    name: str
    type: str = "any"
    color: str | None = None
    attributes: tuple[WantedAttribute, ...] = ()
    points: tuple[WantedPoint, ...] = ()
    drawing: Drawing | None = None
    placed: frozenset[str] = frozenset()
    joined: bool = False
    was: str | None = None

    def as_request(self) -> dict[str, object]:
        """Return it as the server wants to read a new one."""
        wanted: dict[str, object] = {
            "name": self.name,
            "type": self.type,
            "attributes": _new(self.attributes),
        }
        if self.color is not None:
            wanted["color"] = self.color
        if self.drawing is not None:
            wanted["sublabels"] = [point.as_request() for point in self.points]
            wanted["svg"] = draw(self.drawing)
        return wanted


@dataclass(frozen=True)
class WantedProject:
    """A project.

    Attributes:
        source: the file that says so.
        project_id: on the server; None finds it by name.
        organization: slug, None for the personal workspace, UNSET where the file does not say.
        bug_tracker: None leaves it as it is.
        keeps_others: labels that the file does not name stay.
        lines: where each label stands in the file, by name.
    """

    source: str
    name: str
    labels: tuple[WantedLabel, ...]
    project_id: int | None = None
    organization: Organization = UNSET
    bug_tracker: str | None = None
    keeps_others: bool = False
    lines: Mapping[str, str] = field(default_factory=dict, hash=False, compare=False)


def _new(attributes: tuple[WantedAttribute, ...]) -> list[dict[str, object]]:
    return [attribute.as_request() for attribute in attributes]
