"""What a person changed in a shape besides its geometry and label: whether it is hidden, and its attributes."""

from __future__ import annotations

from collections.abc import Mapping

from agir_cvtoolkit.cvat import CONFIDENCE_NAMES, LabelSpec, normal_name
from agir_cvtoolkit.shapes import Shape, Skeleton


def changed_marks(before: Shape, after: Shape, label: LabelSpec | None) -> tuple[str, ...]:
    """Return what differs between a proposal and the shape that it became.

    Attributes that were not sent have the label's default on the server; those that hold the model's confidence
    are not compared. Where the label is another one, the attributes are others too and say nothing.

    Args:
        before: as it was pushed.
        after: as it was read.
        label: as the server has it; without it attributes are not compared.

    Returns:
        Of ``occluded``, ``outside`` and ``attributes`` those that differ. Which points of a skeleton are occluded
        or absent is part of its geometry.
    """
    found = []
    # What says of a skeleton as a whole is lost in exports, and follows from its points.
    if not isinstance(before, Skeleton) and before.occluded != after.occluded:
        found.append("occluded")
    if getattr(before, "outside", False) != getattr(after, "outside", False):
        found.append("outside")
    if label is not None and before.label == after.label and _attributes_differ(before, after, label):
        found.append("attributes")
    return tuple(found)


def _attributes_differ(before: Shape, after: Shape, label: LabelSpec) -> bool:
    if _values(before.attributes, label) != _values(after.attributes, label):
        return True
    if not (isinstance(before, Skeleton) and isinstance(after, Skeleton)):
        return False
    sublabels = {normal_name(sublabel.name): sublabel for sublabel in label.sublabels}
    earlier = {normal_name(element.label): element for element in before.elements}
    for element in after.elements:
        name = normal_name(element.label)
        if name in earlier and name in sublabels:
            own = _values(element.attributes, sublabels[name])
            if own != _values(earlier[name].attributes, sublabels[name]):
                return True
    return False


def _values(attributes: Mapping[str, str], label: LabelSpec) -> dict[int, str]:
    """Return the value of each attribute of a label by the attribute's id, as the server keeps it: trimmed."""
    given = {normal_name(name): value for name, value in attributes.items()}
    ignored = {normal_name(name) for name in CONFIDENCE_NAMES}
    return {
        spec.id: given.get(normal_name(spec.name), spec.default).strip()
        for spec in label.attributes
        if normal_name(spec.name) not in ignored
    }
