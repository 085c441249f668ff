"""What the server checks of annotations, and, as important, what it does not.

Checked: fields present, shape type, number of points, rotation, labels and attributes known. Not checked:
whether a mask's runs fit its box, whether anything lies inside the picture, whether the label's type is the
shape's, whether a skeleton is complete.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .answers import PageRefusal, Refusal
from .generation import Generation
from .labels import labels_of, owner_of
from .store import Json, Store

_EXACT = {"rectangle": 4, "ellipse": 4, "cuboid": 16}
_LEAST = {"polygon": 6, "polyline": 4, "points": 2}
_LONGEST_SOURCE = 16
_LONGEST_VALUE = 4096
_LEAST_MASK = 5
_TYPES = frozenset({*_EXACT, *_LEAST, "mask", "skeleton"})


class KnownLabels:
    """The labels that annotations of a task may use, with their attributes."""

    def __init__(self, store: Store, task: Json) -> None:
        self._labels = {label["id"]: label for label in labels_of(store, owner_of(task))}

    def check(self, item: Json) -> None:
        """Refuse an annotation with a label or attribute that the task does not have.

        Raises:
            Refusal: 400.
        """
        label = self._labels.get(item["label_id"])
        if label is None:
            raise Refusal(400, [f"label_id `{item['label_id']}` is invalid"])
        known = {attribute["id"] for attribute in label["attributes"]}
        for part in (item, *item.get("shapes", ())):
            for value in part["attributes"]:
                if value["spec_id"] not in known:
                    raise Refusal(400, [f"spec_id `{value['spec_id']}` is invalid"])

    def complete(self, item: Json) -> None:
        """Give an annotation the attribute values that it lacks: the defaults.

        Of a track the unchanging ones are its own; the others are its key frames', each from the one before.
        """
        attributes = self._labels[item["label_id"]]["attributes"]
        if "shapes" not in item:
            item["attributes"] = _filled(item["attributes"], _defaults(attributes))
            return
        item["attributes"] = _filled(
            item["attributes"], _defaults([a for a in attributes if not a["mutable"]])
        )
        values = _defaults([a for a in attributes if a["mutable"]])
        for shape in sorted(item["shapes"], key=lambda shape: int(shape["frame"])):
            shape["attributes"] = values = _filled(shape["attributes"], values)


def _defaults(attributes: list[Json]) -> list[Json]:
    return [{"spec_id": a["id"], "value": a["default_value"]} for a in attributes]


def _filled(given: list[Json], values: list[Json]) -> list[Json]:
    known = {value["spec_id"] for value in given}
    return [*given, *(value for value in values if value["spec_id"] not in known)]


def read_all(content: Json, generation: Generation) -> dict[str, list[Json]]:
    """Read the tags, shapes and tracks of a request as a generation does; missing lists are empty.

    Raises:
        Refusal: 400 in the nested form of the server's serializers.
    """
    readers: dict[str, Callable[[Json], Json]] = {
        "tags": _tag,
        "shapes": lambda raw: _shape(raw, generation),
        "tracks": lambda raw: _track(raw, generation),
    }
    found = {}
    for key, reader in readers.items():
        raw = content.get(key)
        if raw is None:
            raw = []
        if not isinstance(raw, list):
            raise Refusal(400, {key: [f'Expected a list of items but got type "{type(raw).__name__}".']})
        found[key] = [_read(key, index, item, reader) for index, item in enumerate(raw)]
    return found


def _read(key: str, index: int, item: object, reader: Callable[[Json], Json]) -> Json:
    try:
        if not isinstance(item, dict):
            raise _Wrong(
                "non_field_errors", f"Invalid data. Expected a dictionary, but got {type(item).__name__}."
            )
        return reader(item)
    except _Wrong as wrong:
        errors: list[Json] = [{} for _ in range(index)]
        raise Refusal(400, {key: [*errors, {wrong.field: [wrong.text]}]}) from wrong


class _Wrong(Exception):  # noqa: N818 - becomes a Refusal
    def __init__(self, field: str, text: str) -> None:
        super().__init__(field, text)
        self.field = field
        self.text = text


def _tag(raw: Json) -> Json:
    return {
        "id": _integer(raw, "id", None),
        "label_id": _integer(raw, "label_id"),
        "frame": _integer(raw, "frame"),
        "group": _integer(raw, "group", None),
        "source": _source(raw),
        "attributes": _attributes(raw),
    }


def _shape(raw: Json, generation: Generation) -> Json:
    shape = _plain_shape(raw, generation)
    elements = raw.get("elements") or []
    if shape["type"] == "skeleton":
        if shape["points"]:
            raise _Wrong("non_field_errors", "Skeletons cannot have points themselves")
        if not isinstance(elements, list) or not elements:
            raise _Wrong("elements", "Skeletons must have elements")
    elif elements:
        raise _Wrong("elements", "Only skeletons can have elements")
    shape["elements"] = [_plain_shape(element, generation) for element in elements]
    if generation.reads_score:
        for item, sent in ((shape, raw), *zip(shape["elements"], elements, strict=True)):
            item["score"] = _score(sent) if generation.writes_score else 1.0
    return shape


def _score(raw: Json) -> float:
    score = _float(raw.get("score", 1.0), "score")
    if not 0 <= score <= 1:
        bound = "greater than or equal to 0" if score < 0 else "less than or equal to 1"
        raise _Wrong("score", f"Ensure this value is {bound}.")
    return score


def _plain_shape(raw: Json, generation: Generation) -> Json:
    kind = raw.get("type")
    if kind is None:
        raise _Wrong("type", "This field is required.")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise _Wrong("type", f'"{kind}" is not a valid choice.')
    rotation = _float(raw.get("rotation", 0.0), "rotation")
    if rotation < 0:
        raise _Wrong("rotation", "Ensure this value is greater than or equal to 0.")
    if rotation > 360:
        raise _Wrong("rotation", "Ensure this value is less than or equal to 360.")
    points = raw.get("points") or []
    if not isinstance(points, list):
        raise _Wrong("points", f'Expected a list of items but got type "{type(points).__name__}".')
    try:
        numbers = list(map(float, points))
    except (TypeError, ValueError) as error:
        raise _Wrong("points", "A valid number is required.") from error
    if generation.checks_points:
        _count_points(kind, len(numbers))
    return {
        "id": _integer(raw, "id", None),
        "label_id": _integer(raw, "label_id"),
        "type": kind,
        "frame": _integer(raw, "frame"),
        "group": _integer(raw, "group", None),
        "source": _source(raw),
        "occluded": bool(raw.get("occluded", False)),
        "outside": bool(raw.get("outside", False)),
        "z_order": _integer(raw, "z_order", 0, least=None),
        "rotation": rotation,
        "points": numbers,
        "attributes": _attributes(raw),
    }


def _count_points(kind: str, count: int) -> None:
    wrong = (
        (kind in _EXACT and count != _EXACT[kind])
        or (kind in _LEAST and (count < _LEAST[kind] or count % 2 == 1))
        or (kind == "mask" and count < _LEAST_MASK)
    )
    if wrong:
        raise _Wrong("points", f"invalid length for shape type '{kind}'")


def _track(raw: Json, generation: Generation) -> Json:
    track = _keyframes(raw, generation) | {"elements": []}
    elements = raw.get("elements") or []
    if not isinstance(elements, list) or not all(isinstance(element, dict) for element in elements):
        raise _Wrong("elements", 'Expected a list of items but got type "str".')
    track["elements"] = [_keyframes(element, generation) for element in elements]
    return track


def _keyframes(raw: Json, generation: Generation) -> Json:
    shapes = raw.get("shapes")
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise _Wrong("shapes", "This field is required.")
    if not shapes:
        raise PageRefusal(500)
    keys = ("type", "occluded", "outside", "z_order", "rotation", "points", "id", "frame", "attributes")
    base = {"label_id": raw.get("label_id")}
    read = [_plain_shape(base | shape, generation) for shape in shapes]
    return _tag(raw) | {"shapes": [{key: shape[key] for key in keys} for shape in read]}


def _source(raw: Json) -> str:
    source = str(raw.get("source", "manual"))
    if len(source) > _LONGEST_SOURCE:
        raise PageRefusal(500)
    return source


def _attributes(raw: Json) -> list[Json]:
    values = raw.get("attributes") or []
    if not isinstance(values, list) or not all(isinstance(v, dict) and "spec_id" in v for v in values):
        raise _Wrong("attributes", "This field is required.")
    found = [
        {"spec_id": _integer(value, "spec_id"), "value": str(value.get("value", "")).strip()}
        for value in values
    ]
    if any(len(value["value"]) > _LONGEST_VALUE for value in found):
        raise _Wrong("attributes", f"Ensure this field has no more than {_LONGEST_VALUE} characters.")
    return found


_MISSING: Any = object()


def _integer(raw: Json, key: str, default: Any = _MISSING, *, least: int | None = 0) -> Any:
    value = raw.get(key, default)
    if value is _MISSING:
        raise _Wrong(key, "This field is required.")
    if value is None:
        if default is _MISSING:
            raise _Wrong(key, "This field may not be null.")
        return default
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Wrong(key, "A valid integer is required.")
    if least is not None and value < least:
        raise _Wrong(key, f"Ensure this value is greater than or equal to {least}.")
    return value


def _float(value: object, key: str) -> float:
    if not isinstance(value, int | float):
        raise _Wrong(key, "A valid number is required.")
    return float(value)
