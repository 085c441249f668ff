"""The labels that poses need in CVAT, to be made in a new project or looked for in one that is there."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Sequence

from agir_cvtoolkit.errors import ConfigError, LabelError
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.poses import VISIBILITIES

from .labels import LabelSet, LabelSpec, NewLabel, normal_name
from .pose_shapes import VISIBILITY, PoseStyle
from .skeleton_drawing import skeleton_svg

_NO_YES = ("no", "yes")
_DOG_ATTRIBUTES = {
    "breed_size": ("small", "medium", "large", "giant"),
    "pose_type": ("standing", "sitting", "lying", "walking", "running", "jumping", "playing"),
}
_ATTRIBUTES = {"difficult": _NO_YES, "crowd": _NO_YES}


def pose_labels(
    schema: JointSchema, style: PoseStyle = "points", box_label: str | None = None
) -> tuple[NewLabel, ...]:
    """Return the labels of a project or task for poses.

    Args:
        schema: the joints.
        style: ``points``: a point label for each joint, with the attribute ``visibility``; ``skeleton``: one label
            with a drawing and all joints, in the schema's order.
        box_label: of boxes around animals, with attributes of the animal; None: no such label.

    Raises:
        ConfigError: `box_label` is the name of another of these labels.
    """
    labels: list[NewLabel] = []
    if style == "skeleton":
        labels.append(
            NewLabel(schema.label, "skeleton", "#406040", sublabels=schema.joints, svg=skeleton_svg(schema))
        )
    else:
        count = len(schema.joints)
        labels += [
            NewLabel(joint, "points", _color(i / count), (_select(VISIBILITY, VISIBILITIES),))
            for i, joint in enumerate(schema.joints)
        ]
    if box_label is not None:
        if normal_name(box_label) in {normal_name(label.name) for label in labels}:
            raise ConfigError(
                f"the box label '{box_label}' is the label of {schema.name} itself as {style}",
                f"Set another box_label, such as {schema.label}_bbox.",
            )
        wanted = _DOG_ATTRIBUTES | _ATTRIBUTES if schema.label == "dog" else _ATTRIBUTES
        attributes = tuple(_select(name, values) for name, values in wanted.items())
        labels.append(NewLabel(box_label, "rectangle", "#2a698b", attributes))
    return tuple(labels)


def check_pose_labels(
    labels: LabelSet, schema: JointSchema, style: PoseStyle = "points", box_label: str | None = None
) -> None:
    """Check that labels which are there take the poses of a schema; what more there is does not matter.

    Raises:
        LabelError: one is missing, or takes other shapes, lacks ``visibility`` or one of its values, or has other
            joints; names all of them.
    """
    problems = []
    for wanted in pose_labels(schema, style, box_label):
        try:
            found = labels.find(wanted.name)
        except LabelError:
            problems.append(f"'{wanted.name}' ({wanted.type}) is missing")
            continue
        problem = _problem(found, wanted)
        if problem:
            problems.append(f"'{found.name}' {problem}")
    if not problems:
        return
    other: PoseStyle = "points" if style == "skeleton" else "skeleton"
    hint = (
        f"This project is made for {other}: set the style to {other}."
        if _fits(labels, pose_labels(schema, other))
        else "Add them to the project in CVAT, or name a project that does not exist yet: it is made with them."
    )
    raise LabelError(
        f"The project's labels do not take {schema.name} as {style}: {'; '.join(problems)}", hint
    )


def schema_of_labels(labels: LabelSet, schemas: Iterable[JointSchema]) -> JointSchema | None:
    """Return the first schema whose joints labels take, as points or as a skeleton; None where they take none."""
    styles: tuple[PoseStyle, ...] = ("points", "skeleton")
    fitting = (s for s in schemas if any(_fits(labels, pose_labels(s, style)) for style in styles))
    return next(fitting, None)


def _fits(labels: LabelSet, wanted: Sequence[NewLabel]) -> bool:
    try:
        return not any(_problem(labels.find(label.name), label) for label in wanted)
    except LabelError:
        return False


def _problem(found: LabelSpec, wanted: NewLabel) -> str:
    if not found.takes(wanted.type):
        return f"takes shapes of type {found.type}, not {wanted.type}"
    if wanted.type == "skeleton":
        there, needed = {s.name for s in found.sublabels}, set(wanted.sublabels)
        missing, extra = sorted(needed - there), sorted(there - needed)
        parts = [f"lacks {', '.join(missing)}"] if missing else []
        parts += [f"has {', '.join(extra)} too many"] if extra else []
        return " and ".join(parts)
    if wanted.type == "points":
        spec = found.attribute(VISIBILITY)
        if spec is None:
            return f"has no attribute {VISIBILITY}"
        lacking = [value for value in VISIBILITIES if value not in spec.values]
        if spec.input_type in {"select", "radio"} and lacking:
            return f"has no {VISIBILITY} {', '.join(lacking)}"
    return ""


def _select(name: str, values: Sequence[str]) -> dict[str, object]:
    return {
        "name": name,
        "mutable": True,
        "input_type": "select",
        "default_value": values[0],
        "values": list(values),
    }


def _color(hue: float) -> str:
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.75, 0.95))
    return f"#{red:02x}{green:02x}{blue:02x}"
