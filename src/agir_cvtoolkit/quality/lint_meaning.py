"""Rules about what a shape stands for: its label, the points of its skeleton, its attributes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from agir_cvtoolkit.attribute_values import value_fits
from agir_cvtoolkit.raw_shapes import RawLabel, RawShape

from .lint_finding import Finding, Repair, found_in

_KNOWN_TYPES = frozenset(
    {"mask", "polygon", "polyline", "rectangle", "ellipse", "points", "skeleton", "tag", "cuboid"}
)
_RELABEL = "Give it another label, or delete it."


def check_meaning(shape: RawShape, labels: Mapping[int, RawLabel]) -> Iterator[Finding]:
    """Find what is wrong with label, skeleton and attributes of a shape.

    The order of a skeleton's points is none of it: servers return them in any.

    Args:
        shape: of any kind.
        labels: of its task or project, by id; without the points of skeletons.
    """
    label = labels.get(shape.label_id) if shape.label_id is not None else None
    if label is None:
        yield _unknown(shape, labels)
        return
    if not _takes(label, shape.kind):
        problem = f"a {shape.kind}, and the label takes {label.type if label.type != 'any' else 'all but skeletons'}"
        yield found_in(shape, label, "label_type", problem, _RELABEL)
    elif shape.kind == "skeleton":
        yield from _skeleton(shape, label)
    yield from _attributes(shape, label, shape)


def _unknown(shape: RawShape, labels: Mapping[int, RawLabel]) -> Finding:
    if shape.label_id is None:
        return found_in(shape, None, "unknown_label", "it has no label", _RELABEL)
    for label in labels.values():
        for point in label.points:
            if point.id == shape.label_id:
                problem = f"its label is '{point.name}', a point of the skeleton '{label.name}'"
                return found_in(shape, None, "unknown_label", problem, _RELABEL)
    problem = f"its label has the id {shape.label_id}, which is none of the project's"
    return found_in(shape, None, "unknown_label", problem, _RELABEL)


def _takes(label: RawLabel, kind: str) -> bool:
    if label.type == "any":
        return kind != "skeleton"
    return kind == label.type or label.type not in _KNOWN_TYPES or kind not in _KNOWN_TYPES


def _skeleton(shape: RawShape, label: RawLabel) -> Iterator[Finding]:
    names = {point.id: point.name for point in label.points}
    given = Counter(element.label_id for element in shape.elements)
    missing = [point.id for point in label.points if point.id not in given]
    doubled = [names[i] for i, count in given.items() if i in names and count > 1]
    foreign = sum(count for i, count in given.items() if i not in names)
    parts = [f"{', '.join(names[i] for i in missing)} missing"] if missing else []
    parts += [f"{', '.join(doubled)} twice"] if doubled else []
    parts += [f"{foreign} of another label"] if foreign else []
    if parts:
        # Only where nothing else is wrong, and some point tells where the animal is.
        sound = not doubled and not foreign and any(len(e.points) == 2 for e in shape.elements)
        repair = Repair(f"{len(missing)} added as absent", absent=tuple(missing)) if sound else None
        next_step = "Draw the skeleton again; CVAT cannot add points to one."
        yield found_in(shape, label, "skeleton", "; ".join(parts), next_step, repair)
    by_id = {point.id: point for point in label.points}
    for element in shape.elements:
        point = by_id.get(element.label_id) if element.label_id is not None else None
        if point is not None:
            yield from _attributes(element, point, shape)


def _attributes(shape: RawShape, label: RawLabel, whole: RawShape) -> Iterator[Finding]:
    specs = {attribute.id: attribute for attribute in label.attributes}
    for spec_id, value in shape.values.items():
        spec = specs.get(spec_id)
        if spec is None:
            problem = f"it has an attribute with the id {spec_id}, which its label does not have"
            yield found_in(whole, label, "attribute", problem, "Draw it again.")
        elif not value_fits(value, spec.input_type, spec.values):
            spelled = value.strip().lower()
            same = spec.input_type == "checkbox" and spelled in {"true", "false"} and shape is whole
            repair = Repair(f"'{value}' is '{spelled}'", values={spec_id: spelled}) if same else None
            allowed = "a number in its range" if spec.input_type == "number" else ", ".join(spec.values)
            if spec.input_type == "checkbox":
                allowed = "true, false"
            problem = f"{spec.name} is '{value[:60]}', and takes {allowed[:200]}"
            yield found_in(whole, label, "attribute", problem, "Choose one of them.", repair)
