"""Labels of a project or task: found by name, whatever its case, spaces and underscores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agir_cvtoolkit.errors import LabelError, ServerFaultError, did_you_mean

from .session import CvatSession

_KINDS = frozenset(
    {"mask", "polygon", "polyline", "rectangle", "ellipse", "points", "skeleton", "tag", "cuboid"}
)
_NOT_UNDER_ANY = frozenset({"skeleton"})


@dataclass(frozen=True)
class AttributeSpec:
    """An attribute of a label.

    Attributes:
        input_type: ``text``, ``number``, ``select``, ``radio`` or ``checkbox``.
        values: the choices; of a number minimum, maximum and step.
        mutable: it may change from frame to frame of a track.
    """

    id: int
    name: str
    input_type: str = "text"
    values: tuple[str, ...] = ()
    default: str = ""
    mutable: bool = True


@dataclass(frozen=True)
class LabelSpec:
    """A label as the server has it.

    Attributes:
        type: of the shapes that it takes; ``any`` for all but skeletons.
        sublabels: of a skeleton its points, in the label's order.
        svg: the drawing of a skeleton.
    """

    id: int
    name: str
    type: str = "any"
    color: str = ""
    attributes: tuple[AttributeSpec, ...] = ()
    sublabels: tuple[LabelSpec, ...] = ()
    svg: str = ""

    def takes(self, kind: str) -> bool:
        """Tell whether shapes of `kind` may have this label; kinds of newer servers are let through."""
        if self.type == "any":
            return kind not in _NOT_UNDER_ANY
        return self.type == kind or self.type not in _KINDS

    def attribute(self, name: str) -> AttributeSpec | None:
        """Return the attribute of that name, compared like labels, or None."""
        wanted = normal_name(name)
        return next((a for a in self.attributes if normal_name(a.name) == wanted), None)


@dataclass(frozen=True)
class NewLabel:
    """A label to be made.

    Attributes:
        color: ``#rrggbb``; the server chooses one where it is None.
        attributes: as the server's interface takes them: name, mutable, input_type, default_value, values.
        sublabels: names of a skeleton's points.
        svg: the drawing of a skeleton.
    """

    name: str
    type: str = "any"
    color: str | None = None
    attributes: tuple[Mapping[str, object], ...] = field(default=(), hash=False)
    sublabels: tuple[str, ...] = ()
    svg: str | None = None

    def as_request(self) -> dict[str, object]:
        """Return the label as the server wants to read it."""
        wanted: dict[str, object] = {
            "name": self.name,
            "type": self.type,
            "attributes": [dict(attribute) for attribute in self.attributes],
        }
        if self.color is not None:
            wanted["color"] = self.color
        if self.sublabels:
            wanted["sublabels"] = [
                {"name": name, "type": "points", "attributes": []} for name in self.sublabels
            ]
        if self.svg is not None:
            wanted["svg"] = self.svg
        return wanted


@dataclass(frozen=True)
class LabelSet:
    """All labels of one project or task."""

    labels: tuple[LabelSpec, ...]

    def __iter__(self) -> Iterator[LabelSpec]:
        return iter(self.labels)

    @property
    def names(self) -> tuple[str, ...]:
        """The names as the server spells them."""
        return tuple(label.name for label in self.labels)

    def find(self, name: str) -> LabelSpec:
        """Return the label of that name; case, and space against ``_``, make no difference.

        Raises:
            LabelError: there is none, or several differ from the name in spelling alone.
        """
        exact = [label for label in self.labels if label.name == name]
        near = exact or [label for label in self.labels if normal_name(label.name) == normal_name(name)]
        if len(near) == 1:
            return near[0]
        if near:
            found = ", ".join(f"'{label.name}'" for label in near)
            raise LabelError(
                f"Label '{name}' could be any of {found}",
                "Write one of them exactly so in cvat_upload.label_map, or rename or delete the other in CVAT.",
            )
        listed = ", ".join(f"'{known}'" for known in self.names) or "none"
        hint = did_you_mean(name, self.names)
        raise LabelError(
            f"Label '{name}' not in task. Labels there are: {listed}.{' ' + hint if hint else ''}",
            "Add it to the project or task in CVAT, or correct label_map.",
        )

    def by_id(self, label_id: object) -> LabelSpec | None:
        """Return the label of that id, or None."""
        return next((label for label in self.labels if label.id == label_id), None)


def normal_name(name: str) -> str:
    """Return the form of a label's name that is compared: ``Hairy vetch`` equals ``hairy_vetch``."""
    return name.strip().casefold().replace("_", " ")


def read_labels(
    session: CvatSession,
    *,
    project_id: int | None = None,
    task_id: int | None = None,
    job_id: int | None = None,
) -> LabelSet:
    """Read the labels of a project, task or job; exactly one is given.

    Raises:
        RemoteError: it does not exist, or the server fails.
    """
    given = {"project_id": project_id, "task_id": task_id, "job_id": job_id}
    params: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    subject = "read the labels of " + ", ".join(
        f"{name.removesuffix('_id')} {value}" for name, value in params.items()
    )
    try:
        return LabelSet(labels_from_json(session.pages("/api/labels", subject, params)))
    except ServerFaultError as error:
        if error.status == 500:
            # So servers answer for what is no longer there: asked for itself, they say so.
            for name, value in params.items():
                kind = name.removesuffix("_id")
                session.get(f"/api/{kind}s/{value}", f"read {kind} {value}")
        raise


def labels_from_json(items: Iterable[Mapping[str, Any]]) -> tuple[LabelSpec, ...]:
    """Read labels as the server writes them; sublabels listed beside their parents are left out."""
    found = (_label(item) for item in items if not item.get("has_parent") and not item.get("parent_id"))
    return tuple(label for label in found if label is not None)


def _label(item: Mapping[str, Any]) -> LabelSpec | None:
    if not isinstance(item.get("id"), int) or not isinstance(item.get("name"), str):
        return None
    sublabels = (_label(sub) for sub in _list(item.get("sublabels")) if isinstance(sub, dict))
    attributes = (_attribute(spec) for spec in _list(item.get("attributes")) if isinstance(spec, dict))
    return LabelSpec(
        id=item["id"],
        name=item["name"],
        type=str(item.get("type") or "any"),
        color=str(item.get("color") or ""),
        attributes=tuple(spec for spec in attributes if spec is not None),
        # The server lists those that were changed last; ids ascend in the order in which they were made.
        sublabels=tuple(sorted((sub for sub in sublabels if sub is not None), key=lambda sub: sub.id)),
        svg=str(item.get("svg") or ""),
    )


def _attribute(item: Mapping[str, Any]) -> AttributeSpec | None:
    if not isinstance(item.get("id"), int) or not isinstance(item.get("name"), str):
        return None
    return AttributeSpec(
        id=item["id"],
        name=item["name"],
        input_type=str(item.get("input_type") or "text"),
        values=tuple(str(value) for value in _list(item.get("values"))),
        default=str(item.get("default_value") or ""),
        mutable=bool(item.get("mutable", True)),
    )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
