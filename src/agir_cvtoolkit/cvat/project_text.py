"""A project of the server as a project file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml

from .labels import AttributeSpec, LabelSet, LabelSpec
from .projects import ProjectInfo
from .skeleton_drawing import Drawing, read_drawing


def project_text(project: ProjectInfo, labels: LabelSet) -> str:
    """Return the project file of a project; applied to it at once, it changes nothing."""
    content: dict[str, object] = {"name": project.name}
    if project.organization is not None:
        content["organization"] = project.organization
    if project.bug_tracker:
        content["bug_tracker"] = project.bug_tracker
    content["labels"] = [_label(label) for label in sorted(labels, key=lambda label: label.id)]
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _label(label: LabelSpec) -> dict[str, object]:
    found: dict[str, object] = {"name": label.name, "type": label.type}
    if label.color:
        found["color"] = label.color
    found |= _attributes(label.attributes)
    if label.type != "skeleton":
        return found
    try:
        drawing = read_drawing(label.svg, {sub.id: sub.name for sub in label.sublabels})
    except ValueError:
        drawing = Drawing({})
    found["points"] = [_Short(_point(sub, drawing)) for sub in label.sublabels]
    if drawing.edges:
        found["edges"] = _Row(_Row(edge) for edge in drawing.edges)
    return found


def _point(sub: LabelSpec, drawing: Drawing) -> dict[str, object]:
    found: dict[str, object] = {"name": sub.name}
    if sub.color:
        found["color"] = sub.color
    if sub.name in drawing.places:
        found["at"] = list(drawing.places[sub.name])
    return found | _attributes(sub.attributes)


def _attributes(specs: Sequence[AttributeSpec]) -> dict[str, object]:
    listed = [_attribute(spec) for spec in sorted(specs, key=lambda spec: spec.id)]
    return {"attributes": listed} if listed else {}


def _attribute(spec: AttributeSpec) -> Mapping[str, object]:
    found: dict[str, object] = {"name": spec.name, "type": spec.input_type}
    if spec.input_type in {"select", "radio", "number"}:
        found["values"] = list(spec.values)
    if spec.default:
        found["default"] = spec.default
    return _Short(found | {"mutable": spec.mutable})


class _Short(dict[str, object]):
    """A mapping that is written in one line."""


class _Row(tuple[object, ...]):
    """A list that is written in one line."""


class _Dumper(yaml.SafeDumper):
    """Writes short mappings and rows in one line."""

    def ignore_aliases(self, data: object) -> bool:
        """Write everything out."""
        return True


_Dumper.add_representer(
    _Short, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data, flow_style=True)
)
_Dumper.add_representer(
    _Row, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)
)
