"""What is different between a label of a project file and a label of the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agir_cvtoolkit.attribute_values import value_fits

from .labels import AttributeSpec, LabelSpec
from .project_names import in_safe_order, match_names
from .project_spec import WantedAttribute, WantedLabel
from .project_uses import LabelUse
from .skeleton_drawing import Drawing, read_drawing

Entry = Mapping[str, object]
"""A label as the server's interface takes it in a change of its project."""


@dataclass
class Difference:
    """What would change in one label.

    Attributes:
        said: what changes, for people.
        entries: what is sent for it in place, each with the id of a label or of a skeleton's point.
        rebuilds: what can only be had by making the label anew.
        redraws: only the drawing of a skeleton is another one.
        limits: attributes whose values must fit the new definition, with it.
        fixed: attributes that change from mutable to fixed or back.
        needs_kind: the type that all shapes of the label must be of; None where any will do.
    """

    said: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    rebuilds: list[str] = field(default_factory=list)
    redraws: bool = False
    limits: list[tuple[AttributeSpec, WantedAttribute]] = field(default_factory=list)
    fixed: list[str] = field(default_factory=list)
    needs_kind: str | None = None

    @property
    def is_none(self) -> bool:
        """There is none."""
        return not (self.said or self.rebuilds or self.redraws)

    @property
    def depends_on_use(self) -> bool:
        """Whether it may be made depends on what is drawn with the label."""
        return bool(self.rebuilds or self.redraws or self.limits or self.fixed or self.needs_kind)

    def refusals(self, use: LabelUse) -> list[str]:
        """Return why it cannot be made with what is drawn there; a drawing alone is no reason."""
        reasons = list(self.rebuilds) if use.count else []
        if self.needs_kind is not None and use.kinds - {self.needs_kind}:
            drawn = ", ".join(sorted(use.kinds - {self.needs_kind}))
            reasons.append(f"its type cannot become {self.needs_kind}: it has shapes of type {drawn}")
        for spec, wanted in self.limits:
            outside = [
                v for v in use.values.get(spec.id, ()) if not value_fits(v, wanted.input_type, wanted.values)
            ]
            if outside:
                some = ", ".join(f"'{value}'" for value in sorted(outside)[:5])
                reasons.append(f"attribute '{spec.name}' has values that it would not take any more: {some}")
        if use.tracks:
            reasons += [f"attribute '{name}' cannot change mutable: there are tracks" for name in self.fixed]
        return reasons


def difference(wanted: WantedLabel, there: LabelSpec) -> Difference:
    """Compare a label of the file with the label of the server that it is."""
    found = Difference()
    entry: dict[str, object] = {"id": there.id, "name": wanted.name, "color": wanted.color or there.color}
    if wanted.name != there.name:
        found.said.append(f"name '{there.name}' to '{wanted.name}'")
    if wanted.color is not None and wanted.color != there.color.lower():
        found.said.append(f"colour {there.color or 'none'} to {wanted.color}")
    if wanted.type != there.type:
        _compare_types(found, entry, wanted, there)
    attributes = _compare_attributes(found, wanted.attributes, there.attributes, "")
    if attributes:
        entry["attributes"] = attributes
    if found.said:
        found.entries.append(entry)
    if wanted.drawing is not None and there.type == "skeleton":
        _compare_points(found, wanted, there, wanted.drawing)
    return found


def _compare_types(
    found: Difference, entry: dict[str, object], wanted: WantedLabel, there: LabelSpec
) -> None:
    change = f"type {there.type} to {wanted.type}"
    if "skeleton" in {wanted.type, there.type}:
        found.rebuilds.append(change)
        return
    entry["type"] = wanted.type
    found.said.append(change)
    if wanted.type != "any":
        found.needs_kind = wanted.type


def _compare_attributes(
    found: Difference, wanted: Sequence[WantedAttribute], there: Sequence[AttributeSpec], of: str
) -> list[Entry]:
    by_name = {attribute.name: attribute for attribute in wanted}
    specs = {spec.name: spec for spec in there}
    matched = match_names([(a.name, a.was) for a in wanted], list(specs))
    found.rebuilds += [f"{of}attribute '{name}' goes" for name in matched.left]
    entries: list[Entry] = []
    for name, old in in_safe_order(list(matched.pairs.items())):
        attribute, spec = by_name[name], specs[old]
        said = _attribute_changes(attribute, spec)
        if said:
            found.said.append(f"{of}attribute '{old}': {', '.join(said)}")
            entries.append(attribute.as_request(spec.id))
            if (attribute.input_type, attribute.values) != (spec.input_type, spec.values):
                found.limits.append((spec, attribute))
            if attribute.mutable != spec.mutable:
                found.fixed.append(name)
    for name in matched.added:
        found.said.append(f"{of}attribute '{name}' is new ({by_name[name].input_type})")
        entries.append(by_name[name].as_request())
    return entries


def _attribute_changes(wanted: WantedAttribute, there: AttributeSpec) -> list[str]:
    said = [] if wanted.name == there.name else [f"name to '{wanted.name}'"]
    if wanted.input_type != there.input_type:
        said.append(f"type {there.input_type} to {wanted.input_type}")
    if wanted.input_type in {"select", "radio", "number"} and wanted.values != there.values:
        said.append(_values_changed(wanted, there))
    if wanted.default != there.default.strip():
        said.append(f"default '{there.default}' to '{wanted.default}'")
    if wanted.mutable != there.mutable:
        said.append("mutable" if wanted.mutable else "no longer mutable")
    return said


def _values_changed(wanted: WantedAttribute, there: AttributeSpec) -> str:
    if wanted.input_type == "number":
        return f"range {', '.join(there.values)} to {', '.join(wanted.values)}"
    more = [f"'{value}' is new" for value in wanted.values if value not in there.values]
    less = [f"'{value}' goes" for value in there.values if value not in wanted.values]
    return ", ".join(more + less) or "values in another order"


def _compare_points(found: Difference, wanted: WantedLabel, there: LabelSpec, drawing: Drawing) -> None:
    specs = {sub.name: sub for sub in there.sublabels}
    points = {point.name: point for point in wanted.points}
    matched = match_names([(p.name, p.was) for p in wanted.points], list(specs))
    found.rebuilds += [f"point '{name}' is new" for name in matched.added]
    found.rebuilds += [f"point '{name}' goes" for name in matched.left]
    for name, old in in_safe_order(list(matched.pairs.items())):
        point, spec = points[name], specs[old]
        said = [] if name == old else [f"point '{old}' to '{name}'"]
        if point.color is not None and point.color != spec.color.lower():
            said.append(f"point '{name}': colour {spec.color or 'none'} to {point.color}")
        before = len(found.said)
        attributes = _compare_attributes(found, point.attributes, spec.attributes, f"point '{name}': ")
        if said or len(found.said) > before:
            found.said += said
            entry = {"id": spec.id, "name": name, "type": "points", "color": point.color or spec.color}
            found.entries.append(entry | ({"attributes": attributes} if attributes else {}))
    if not matched.added and not matched.left:
        new_names = {old: name for name, old in matched.pairs.items()}
        found.redraws = not _is_drawn_so(wanted, there, drawing, new_names)


def _is_drawn_so(
    wanted: WantedLabel, there: LabelSpec, drawing: Drawing, new_names: Mapping[str, str]
) -> bool:
    try:
        drawn = read_drawing(there.svg, {sub.id: new_names[sub.name] for sub in there.sublabels})
    except ValueError:
        return False
    for name in wanted.placed:
        if any(abs(a - b) > 0.011 for a, b in zip(drawing.places[name], drawn.places[name], strict=True)):
            return False
    return not wanted.joined or {frozenset(e) for e in drawing.edges} == {frozenset(e) for e in drawn.edges}
