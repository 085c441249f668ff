"""Project files: one CVAT project as YAML, read so that every mistake is named with file, line and key."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from agir_cvtoolkit.errors import ConfigError
from agir_cvtoolkit.joints import JointSchema, load_schema

from .labels import normal_name
from .pose_labels import pose_labels
from .project_attributes import LONGEST_NAME, attributes_from_requests, read_attributes
from .project_spec import LABEL_TYPES, WantedLabel, WantedPoint, WantedProject
from .session import UNSET, Organization
from .skeleton_drawing import Drawing, Edge, Place, drawing_of, read_drawing
from .yaml_lines import Part, read_yaml

SpeciesNamed = Callable[[str], Sequence[tuple[str, str | None]]]
"""Finds a species table by name or path: names with their colours, or None for those without."""

_PROJECT = ("name", "id", "organization", "bug_tracker", "other_labels", "species", "labels")
_LABEL = ("name", "type", "color", "was", "attributes", "points", "edges", "svg", "joints", "style")
_POINT = ("name", "color", "was", "attributes", "at")
_SPECIES = ("table", "type", "only", "attributes")
_COLOR = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_WHOLE = {"joints", "svg"}
"""Keys that say all of a drawing."""
_LONGEST_SVG = 200_000
_MOST_LABELS = 5000


def read_project(text: str, source: str, species: SpeciesNamed) -> WantedProject:
    """Read a project file.

    Args:
        text: of the file.
        source: its path or name, for messages.
        species: looks a species table up.

    Raises:
        ConfigError: names file, line and key.
    """
    top = read_yaml(text, source)
    keys = top.mapping(_PROJECT)
    if "name" not in keys:
        top.wrong("the project has no name", "Begin the file with name: My project.")
    found: list[tuple[WantedLabel, Part]] = []
    if "species" in keys:
        found += [(label, keys["species"]) for label in _species_labels(keys["species"], species)]
    if "labels" in keys and not keys["labels"].is_nothing:
        for part in keys["labels"].items():
            found += [(label, part) for label in _labels(part)]
    if not found and not keys.get("labels"):
        top.wrong("the project has no labels", "Add labels: or species:; labels: [] for none at all.")
    if len(found) > _MOST_LABELS:
        top.wrong(f"{len(found)} labels are more than anybody can choose from", f"At most {_MOST_LABELS}.")
    _check_names(found)
    return WantedProject(
        source=source,
        name=keys["name"].text(256),
        labels=tuple(label for label, _ in found),
        project_id=_project_id(keys.get("id")),
        organization=_organization(keys.get("organization")),
        bug_tracker=_address(keys.get("bug_tracker")),
        keeps_others=keys["other_labels"].choice(("remove", "keep")) == "keep"
        if "other_labels" in keys
        else False,
        lines={label.name: part.where for label, part in found},
    )


def _check_names(found: Sequence[tuple[WantedLabel, Part]]) -> None:
    names: dict[str, tuple[str, Part]] = {}
    sources: dict[str, Part] = {}
    for label, part in found:
        other = names.setdefault(normal_name(label.name), (label.name, part))
        if other[1] is not part or other[0] != label.name:
            line = other[1].node.start_mark.line + 1
            part.wrong(
                f"label '{label.name}' stands twice: '{other[0]}' on line {line}",
                "Names must differ in more than case, space and _.",
            )
        if label.was is not None:
            first = sources.setdefault(label.was, part)
            if first is not part:
                part.wrong(f"two labels were '{label.was}'", "One label on the server becomes one label.")
    former = {label.name: label.was for label, _ in found if label.was is not None}
    for label, part in found:
        name, steps = label.was, 0
        while name in former and name != label.name and steps < len(former):
            name, steps = former[name], steps + 1
        if label.was is not None and name == label.name:
            part.wrong(
                f"'{label.name}' and '{label.was}' change places", "Rename one of them to a third name first."
            )


def _labels(part: Part) -> list[WantedLabel]:
    if part.is_text:
        return [WantedLabel(_name(part))]
    keys = part.mapping(_LABEL)
    style = keys["style"].choice(("points", "skeleton")) if "style" in keys else "skeleton"
    if "joints" in keys and style == "points":
        for key in keys.keys() - {"joints", "style"}:
            keys[key].wrong(f"'{key}' has no place beside style: points", "Each joint is a label of its own.")
        return [_pose_label(label) for label in pose_labels(_schema(keys["joints"]), "points")]
    if "style" in keys and "joints" not in keys:
        keys["style"].wrong("style goes with joints", "Add joints: dog24, or remove it.")
    schema = _schema(keys["joints"]) if "joints" in keys else None
    if schema is None and "name" not in keys:
        part.wrong("a label has no name", "Add name: to it.")
    name = _name(keys["name"]) if "name" in keys else (schema.label if schema else "")
    kind = keys["type"].choice(LABEL_TYPES) if "type" in keys else ("any" if schema is None else "skeleton")
    points, drawing, placed = _skeleton(part, keys, kind, schema)
    return [
        WantedLabel(
            name=name,
            type=kind,
            color=_color(keys.get("color")),
            attributes=read_attributes(keys.get("attributes")),
            points=points,
            drawing=drawing,
            placed=placed,
            joined=drawing is not None and ("edges" in keys or not keys.keys().isdisjoint(_WHOLE)),
            was=_name(keys["was"]) if "was" in keys else None,
        )
    ]


def _pose_label(label: object) -> WantedLabel:
    request = label.as_request()  # type: ignore[attr-defined]
    return WantedLabel(
        request["name"],
        request["type"],
        request.get("color"),
        attributes_from_requests(request["attributes"]),
    )


def _skeleton(
    part: Part, keys: dict[str, Part], kind: str, schema: JointSchema | None
) -> tuple[tuple[WantedPoint, ...], Drawing | None, frozenset[str]]:
    given = [key for key in ("joints", "points", "edges", "svg") if key in keys]
    if kind != "skeleton":
        if given:
            keys[given[0]].wrong(f"a label of type {kind} has no {given[0]}", "Set type: skeleton.")
        return (), None, frozenset()
    if schema is not None:
        for key in ("points", "edges", "svg"):
            if key in keys:
                keys[key].wrong(f"'{key}' has no place beside joints", "The schema says it.")
        points = tuple(WantedPoint(joint) for joint in schema.joints)
        return points, drawing_of(schema.joints, schema.links), frozenset(schema.joints)
    if "points" not in keys:
        part.wrong("a skeleton has no points", "Add points: [nose, tail], or joints: dog24.")
    points, places = _points(keys["points"])
    names = [point.name for point in points]
    if "svg" in keys:
        if "edges" in keys:
            keys["edges"].wrong("'edges' has no place beside svg", "The drawing says it.")
        if places:
            keys["svg"].wrong("points have a place (at) already", "Remove svg, or at.")
        try:
            return points, read_drawing(keys["svg"].text(_LONGEST_SVG), names), frozenset(names)
        except ValueError as error:
            keys["svg"].wrong(
                f"CVAT could not draw it: {error}", "Leave svg out: points and edges are enough."
            )
    return points, drawing_of(names, _edges(keys.get("edges"), names), places), frozenset(places)


def _points(part: Part) -> tuple[tuple[WantedPoint, ...], dict[str, Place]]:
    points: list[WantedPoint] = []
    places: dict[str, Place] = {}
    spelled: dict[str, str] = {}
    for item in part.items():
        keys = {"name": item} if item.is_text else item.mapping(_POINT)
        if "name" not in keys:
            item.wrong("a point has no name", "Add name: to it.")
        name = _name(keys["name"])
        if set(name) & set('<>&"'):
            keys["name"].wrong(
                f"'{name}' has one of < > & \"", "CVAT could not find it in the drawing: rename it."
            )
        if spelled.setdefault(normal_name(name), name) != name or any(p.name == name for p in points):
            keys["name"].wrong(
                f"point '{name}' stands twice", "Names must differ in more than case, space and _."
            )
        if "at" in keys:
            places[name] = _place(keys["at"])
        was = _name(keys["was"]) if "was" in keys else None
        points.append(
            WantedPoint(name, _color(keys.get("color")), read_attributes(keys.get("attributes")), was)
        )
    if not points:
        part.wrong("a skeleton has no points", "Name at least one.")
    return tuple(points), places


def _place(part: Part) -> Place:
    numbers = []
    for item in part.items():
        try:
            numbers.append(float(item.text(30)))
        except ValueError:
            item.wrong(
                "a number from 0 to 100 is expected here", "Percent of the drawing: x to the right, y down."
            )
    if len(numbers) != 2 or not all(0 <= number <= 100 for number in numbers):
        part.wrong(
            "two numbers from 0 to 100 are expected here", "Percent of the drawing: [x to the right, y down]."
        )
    return round(numbers[0], 2), round(numbers[1], 2)


def _edges(part: Part | None, names: Sequence[str]) -> tuple[Edge, ...]:
    edges: list[Edge] = []
    for item in part.items() if part is not None else ():
        ends = [end.choice(names) for end in item.items()]
        if len(ends) != 2 or ends[0] == ends[1]:
            item.wrong("an edge joins two different points", "Write [nose, neck].")
        edge = (ends[0], ends[1])
        if edge in edges or edge[::-1] in edges:
            item.wrong(f"the edge {ends[0]} to {ends[1]} stands twice", "Remove one of them.")
        edges.append(edge)
    return tuple(edges)


def _species_labels(part: Part, species: SpeciesNamed) -> list[WantedLabel]:
    keys = {"table": part} if part.is_text else part.mapping(_SPECIES)
    if "table" not in keys:
        part.wrong("no species table is named", "Add table: agir, or the path of yours.")
    table = keys["table"]
    try:
        found = dict(species(table.text(4096)))
    except ConfigError as error:
        table.wrong(error.problem, error.next_step)
    kind = keys["type"].choice(LABEL_TYPES) if "type" in keys else "mask"
    if kind == "skeleton":
        keys["type"].wrong("a species is no skeleton")
    names = [item.choice(list(found)) for item in keys["only"].items()] if "only" in keys else list(found)
    attributes = read_attributes(keys.get("attributes"))
    return [WantedLabel(name, kind, found[name], attributes) for name in names]


def _schema(part: Part) -> JointSchema:
    try:
        return load_schema(part.text(4096))
    except ConfigError as error:
        part.wrong(error.problem, error.next_step)


def _name(part: Part) -> str:
    name = part.text(LONGEST_NAME)
    if "\n" in name:
        part.wrong("a name is one line", "Remove the line break.")
    return name


def _color(part: Part | None) -> str | None:
    if part is None:
        return None
    color = part.text(30)
    if not _COLOR.fullmatch(color):
        part.wrong(f"'{color}' is no colour", 'Write it as "#1f77b4", with the quotes.')
    digits = color[1:].lower()
    return f"#{digits}" if len(digits) == 6 else "#" + "".join(2 * digit for digit in digits)


def _organization(part: Part | None) -> Organization:
    if part is None:
        return UNSET
    return None if part.is_nothing else part.text(16)


def _project_id(part: Part | None) -> int | None:
    if part is None:
        return None
    text = part.text(19)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**63):
        part.wrong(f"'{text}' is no id of a project", "It is the number in the address of its page.")
    return int(text)


def _address(part: Part | None) -> str | None:
    if part is None:
        return None
    if part.is_nothing or part.node.value == "":
        return ""
    address = part.text(2000)
    if urlsplit(address).scheme not in {"http", "https"}:
        part.wrong(f"'{address}' is no address", "It begins with https://.")
    return address
