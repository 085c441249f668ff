"""Changes to single annotations of a job, by their ids, beside whatever else is in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from .job_patch import CREATE, DELETE, UPDATE, patch_job
from .job_stream import items_of_file
from .session import CvatSession

if TYPE_CHECKING:
    from agir_cvtoolkit.raw_shapes import Numbers

Item = dict[str, Any]
ItemKey = tuple[str, int]
"""The list of an annotation (``shapes``, ``tags``, ``tracks``), and its id: each list counts for itself."""

_LISTS = ("tags", "shapes", "tracks")
_HIDDEN = frozenset({"id", "elements", "attributes", "points", "score", "frame"})
_BODY_ITEMS = 500


def mended(
    item: Mapping[str, Any],
    *,
    points: Numbers | None = None,
    element_points: Mapping[int, Numbers] | None = None,
    absent: Sequence[int] = (),
    values: Mapping[int, str] | None = None,
) -> Item:
    """Return an annotation with something changed, and all the rest as it was.

    Args:
        item: as the server wrote it.
        points: in place of its own.
        element_points: in place of those of its elements, by the id of their label.
        absent: labels of elements that are added, marked as outside, amid the others.
        values: of attributes, by their id.
    """
    found = dict(item)
    if points is not None:
        found["points"] = points
    elements = [dict(element) for element in item.get("elements") or ()]
    for element in elements:
        if element_points and element.get("label_id") in element_points:
            element["points"] = element_points[element["label_id"]]
    places = [e["points"] for e in elements if len(e.get("points") or ()) == 2]
    if absent and places:
        middle = [sum(place[axis] for place in places) / len(places) for axis in (0, 1)]
        elements += [
            {"type": "points", "frame": item["frame"], "label_id": label, "points": middle, "outside": True}
            for label in absent
        ]
    if elements:
        found["elements"] = elements
    if values:
        found["attributes"] = [
            {**attribute, "value": values.get(attribute.get("spec_id"), attribute.get("value"))}
            for attribute in item.get("attributes") or ()
        ]
    return found


def signature(item: Mapping[str, Any]) -> bytes:
    """Return a hash of all that is in an annotation but ids, and the order of elements and attributes."""
    digest = hashlib.sha256()
    _digest(item, digest)
    return digest.digest()[:16]


def signatures_of_file(path: Path, job_id: int) -> dict[ItemKey, bytes]:
    """Return the signature of each annotation in a file that `job_stream.download_job` wrote."""
    return {(name, item["id"]): signature(item) for name, item in _with_ids(path, job_id)}


def items_by_key(path: Path, job_id: int, wanted: frozenset[ItemKey]) -> dict[ItemKey, Item]:
    """Return some annotations of a file that `job_stream.download_job` wrote."""
    return {
        (name, item["id"]): item for name, item in _with_ids(path, job_id) if (name, item["id"]) in wanted
    }


def update_items(session: CvatSession, job_id: int, items: Mapping[ItemKey, Item]) -> None:
    """Put annotations in place of those with their ids; the server makes anew those that it does not have.

    Raises:
        RemoteError: of its kinds; after those of `failures.UNCERTAIN` nobody knows how far it came.
    """
    for part in _parts(list(items.items())):
        listed = {name: [item for (kind, _), item in part if kind == name] for name in _LISTS}
        _send(session, job_id, UPDATE, listed, f"change {len(part)} annotations of job {job_id}")


def create_items(session: CvatSession, job_id: int, items: Mapping[ItemKey, Item]) -> None:
    """Make annotations anew, under new ids.

    Raises:
        RemoteError: as `update_items`.
    """
    for part in _parts(list(items.items())):
        listed = {name: [_without_ids(item) for (kind, _), item in part if kind == name] for name in _LISTS}
        _send(session, job_id, CREATE, listed, f"put {len(part)} annotations back into job {job_id}")


def delete_items(session: CvatSession, job_id: int, items: Mapping[ItemKey, Item]) -> None:
    """Delete shapes and tags, by their ids alone.

    Raises:
        RemoteError: as `update_items`.
    """
    for part in _parts(list(items.items())):
        listed: dict[str, list[Item]] = {name: [] for name in _LISTS}
        for (kind, _), item in part:
            named = {key: item[key] for key in ("id", "frame", "label_id")}
            # The server looks at the id; what else it wants to see is a stand-in, valid for any type.
            stand_in = {"type": "rectangle", "points": [0.0, 0.0, 1.0, 1.0]} if kind == "shapes" else {}
            listed[kind].append(named | stand_in)
        _send(session, job_id, DELETE, listed, f"delete {len(part)} annotations of job {job_id}")


def _send(session: CvatSession, job_id: int, action: str, listed: Mapping[str, object], subject: str) -> None:
    body = orjson.dumps({"version": 0, **listed}, option=orjson.OPT_SERIALIZE_NUMPY)
    patch_job(session, job_id, action, body, subject)


def _parts(items: list[tuple[ItemKey, Item]]) -> Iterator[list[tuple[ItemKey, Item]]]:
    for start in range(0, len(items), _BODY_ITEMS):
        yield items[start : start + _BODY_ITEMS]


def _with_ids(path: Path, job_id: int) -> Iterator[tuple[str, Item]]:
    return ((name, item) for name, item in items_of_file(path, job_id) if isinstance(item.get("id"), int))


def _without_ids(item: Mapping[str, Any]) -> Item:
    found = {key: value for key, value in item.items() if key != "id"}
    for name in ("elements", "shapes"):
        if isinstance(found.get(name), list):
            found[name] = [_without_ids(part) for part in found[name]]
    return found


def _digest(item: Mapping[str, Any], digest: Any) -> None:
    plain = {
        key: value
        for key, value in item.items()
        if key not in _HIDDEN and value not in (None, False, 0, [], "")
    }
    digest.update(repr((item.get("frame"), sorted(plain.items(), key=repr))).encode("utf-8", "surrogatepass"))
    values = [(a.get("spec_id"), str(a.get("value", "")).strip()) for a in item.get("attributes") or ()]
    digest.update(repr(sorted(values, key=repr)).encode("utf-8", "surrogatepass"))
    points = item.get("points")
    numbers = np.asarray([] if points is None else points, dtype=np.float64)
    digest.update((np.rint(numbers * 1000.0) + 0.0).tobytes())
    for element in sorted(item.get("elements") or (), key=lambda element: element.get("label_id") or 0):
        if element.get("outside"):
            # Nobody sees where it is, and the server fills in the rest.
            digest.update(f"absent {element.get('label_id')}".encode())
        else:
            _digest(element, digest)
