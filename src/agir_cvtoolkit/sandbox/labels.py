"""Labels of projects and tasks, with attributes and skeletons."""

from __future__ import annotations

import hashlib
import re

from starlette.responses import Response

from .answers import PageRefusal, Refusal, reply
from .calls import Call
from .generation import Generation
from .lists import page_answer
from .store import Json, Store, now

_TYPES = frozenset(
    {"any", "cuboid", "ellipse", "mask", "points", "polygon", "polyline", "rectangle", "skeleton", "tag"}
)
_INTERVAL = "interval"
_INPUTS = frozenset({"checkbox", "radio", "number", "text", "select"})
_NODE_NAME = re.compile(r'data-label-name="([^"]*)"')


def owner_of(task: Json) -> str:
    """Return the owner of a task's labels: its project, or itself."""
    return f"project:{task['project_id']}" if task["project_id"] is not None else f"task:{task['id']}"


def labels_of(store: Store, owner: str) -> list[Json]:
    """Return all labels of an owner, each skeleton followed by its sublabels."""
    found = store.all("label", parent=owner)
    return [label for top in found if top["parent_id"] is None for label in _family(found, top)]


def check_specs(specs: object, generation: Generation) -> list[Json]:
    """Check the labels of a new project or task.

    Raises:
        Refusal: 400.
    """
    if specs is None:
        return []
    if not isinstance(specs, list) or not all(isinstance(spec, dict) for spec in specs):
        raise Refusal(400, {"labels": ['Expected a list of items but got type "str".']})
    for spec in specs:
        _check(spec, generation)
    names = [spec["name"] for spec in specs if "name" in spec and not spec.get("deleted")]
    if len(set(names)) != len(names):
        raise Refusal(400, ["All label names must be unique"])
    return specs


def add_labels(store: Store, owner: str, specs: list[Json]) -> None:
    """Write new labels.

    Raises:
        Refusal: 400, a name is taken or missing.
    """
    for spec in specs:
        if not spec.get("name"):
            raise Refusal(400, {"labels": [{"name": ["This field is required."]}]})
        _check_free(store, owner, spec["name"])
        _add(store, owner, spec, None)


def patch_labels(store: Store, owner: str, specs: list[Json]) -> None:
    """Add labels without an id, change or delete those with one, one after the other in the order given.

    Raises:
        Refusal: 400 for a wrong label or a name that is taken, 404 for an unknown id.
    """
    for spec in specs:
        if spec.get("id") is None:
            add_labels(store, owner, [spec])
            continue
        label = store.get("label", int(spec["id"]))
        if label is None or label["owner"] != owner:
            raise Refusal(404, {"detail": f"Not found label with id #{spec['id']} to change"})
        if spec.get("deleted"):
            delete_label(store, label)
        else:
            _change(store, label, spec)
    if specs:
        touch_owner(store, owner)


def _check_free(store: Store, owner: str, name: str, label: Json | None = None) -> None:
    parent, own = (None, None) if label is None else (label["parent_id"], label["id"])
    if any(
        other["name"] == name and other["parent_id"] == parent and other["id"] != own
        for other in store.all("label", parent=owner)
    ):
        raise Refusal(400, ["All label names must be unique"])


def touch_owner(store: Store, owner: str) -> None:
    """Say that everything has changed whose labels did: the project, its tasks and all their jobs."""
    kind, _, number = owner.partition(":")
    at = now()
    found = store.get(kind, int(number))
    tasks = store.all("task", parent=owner) if kind == "project" else []
    if found is not None:
        store.put(kind, int(number), found | {"updated_date": at})
    for task in tasks:
        store.put("task", task["id"], task | {"updated_date": at})
    for task_id in [task["id"] for task in tasks] if kind == "project" else [int(number)]:
        for job in store.all("job", parent=f"task:{task_id}"):
            store.put("job", job["id"], job | {"updated_date": at})


def delete_label(store: Store, label: Json) -> None:
    """Remove a label with its sublabels and all annotations that use it."""
    for member in _family(store.all("label", parent=label["owner"]), label):
        store.remove("label", member["id"])
        store.remove_items_of_label(member["id"])


def label_view(store: Store, label: Json) -> Json:
    """Return a label as the interface shows it."""
    kind, _, number = str(label["owner"]).partition(":")
    view = {key: label[key] for key in ("id", "name", "color", "attributes", "type")}
    if label["type"] == "skeleton":
        view["svg"] = label["svg"]
    children = [c for c in store.all("label", parent=label["owner"]) if c["parent_id"] == label["id"]]
    view["sublabels"] = [
        {key: child[key] for key in ("id", "name", "color", "attributes", "type")} | {"has_parent": True}
        for child in children
    ]
    view[f"{kind}_id"] = int(number)
    return view | {"parent_id": label["parent_id"], "has_parent": label["parent_id"] is not None}


def list_labels(call: Call) -> Response:
    """Answer ``GET /api/labels``: none from another organization; of what is not there the server fails."""
    store = call.store
    owners: set[str] | None = None
    for name, kind in (("project_id", "project"), ("task_id", "task"), ("job_id", "job")):
        text = call.query.get(name)
        if text is None:
            continue
        if not text.isdigit() or len(text) > 18:
            raise Refusal(400, {name: ["Enter a number."]})
        found = store.get(kind, int(text))
        if found is None:
            raise PageRefusal(500)
        task = store.get("task", found["task_id"]) if kind == "job" else found
        owners = {f"project:{text}" if kind == "project" or task is None else owner_of(task)}
    labels = [
        label
        for label in store.all("label")
        if label["parent_id"] is None and (owners is None or label["owner"] in owners)
    ]
    if call.context.given:
        homes = {owner: _organization(store, owner) for owner in {str(label["owner"]) for label in labels}}
        labels = [label for label in labels if homes[label["owner"]] == call.context.organization]
    wanted = call.query.get("name")
    if wanted:
        labels = [label for label in labels if label["name"] == wanted]
    return page_answer(call, labels, lambda label: label_view(store, label))


def _organization(store: Store, owner: str) -> object:
    kind, _, number = owner.partition(":")
    found = store.get(kind, int(number))
    return None if found is None else found["organization"]


def show_label(call: Call) -> Response:
    """Answer ``GET /api/labels/ID``."""
    return reply(label_view(call.store, call.load("label")))


def patch_label(call: Call) -> Response:
    """Answer ``PATCH /api/labels/ID``."""
    label = call.load("label")
    spec = call.json_object()
    _check(spec, call.generation)
    with call.store.transaction():
        _change(call.store, label, spec)
        touch_owner(call.store, label["owner"])
    return reply(label_view(call.store, call.load("label")))


def remove_label(call: Call) -> Response:
    """Answer ``DELETE /api/labels/ID``."""
    with call.store.transaction():
        label = call.load("label")
        delete_label(call.store, label)
        touch_owner(call.store, label["owner"])
    return Response(status_code=204)


def _check(spec: Json, generation: Generation) -> None:
    if "name" in spec and not (isinstance(spec["name"], str) and spec["name"].strip()):
        raise Refusal(400, {"labels": [{"name": ["This field may not be blank."]}]})
    known = _TYPES | {_INTERVAL} if generation.intervals else _TYPES
    if spec.get("type", "any") not in known:
        raise Refusal(400, {"labels": [{"type": [f'"{spec["type"]}" is not a valid choice.']}]})
    for attribute in spec.get("attributes") or []:
        for key in ("name", "mutable", "input_type", "values"):
            if key not in attribute:
                raise Refusal(400, {"labels": [{"attributes": [{key: ["This field is required."]}]}]})
        if attribute["input_type"] not in _INPUTS:
            text = f'"{attribute["input_type"]}" is not a valid choice.'
            raise Refusal(400, {"labels": [{"attributes": [{"input_type": [text]}]}]})
    for sublabel in spec.get("sublabels") or []:
        _check(sublabel, generation)


def _add(store: Store, owner: str, spec: Json, parent: Json | None) -> int:
    label: Json = {
        "id": store.next_id("label"),
        "owner": owner,
        "name": spec["name"],
        "color": spec.get("color") or _color(spec["name"]),
        "type": spec.get("type") or ("any" if parent is None else "points"),
        "attributes": [_attribute(store, attribute) for attribute in spec.get("attributes") or []],
        "svg": spec.get("svg") or "",
        "parent_id": None if parent is None else parent["id"],
    }
    children = {sub["name"]: _add(store, owner, sub, label) for sub in spec.get("sublabels") or []}
    label["svg"] = _NODE_NAME.sub(
        lambda found: f'data-label-id="{children.get(found[1], "")}"' if found[1] in children else found[0],
        label["svg"],
    )
    store.put("label", label["id"], label, parent=owner)
    return int(label["id"])


def _change(store: Store, label: Json, spec: Json) -> None:
    """Change a label as the real server does: sublabels and drawing stay, and so does what is a skeleton or is none."""
    if spec.get("name"):
        _check_free(store, str(label["owner"]), spec["name"], label)
        label["name"] = spec["name"]
    if spec.get("type") and "skeleton" not in (label["type"], spec["type"]):
        label["type"] = spec["type"]
    label["color"] = spec.get("color") or _color(label["name"])
    known = {attribute["id"]: attribute for attribute in label["attributes"]}
    named = {attribute["name"]: attribute for attribute in label["attributes"]}
    for attribute in spec.get("attributes") or []:
        if attribute.get("id") is not None and attribute["id"] not in known:
            raise Refusal(404, {"detail": f"Attribute with id #{attribute['id']} does not exist"})
        there = known.get(attribute.get("id")) or named.get(attribute["name"])
        if there is not None:
            there.update({k: v for k, v in attribute.items() if k != "id"})
        else:
            label["attributes"].append(_attribute(store, attribute))
    store.put("label", label["id"], label)


def _attribute(store: Store, spec: Json) -> Json:
    values = [str(value) for value in spec["values"]]
    default = spec.get("default_value")
    return {
        "id": store.next_id("attribute"),
        "name": spec["name"],
        "mutable": bool(spec["mutable"]),
        "input_type": spec["input_type"],
        "default_value": str(default) if default is not None else (values[0] if values else ""),
        "values": values,
    }


def _color(name: str) -> str:
    return "#" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:6]


def _family(labels: list[Json], top: Json) -> list[Json]:
    return [top, *(label for label in labels if label["parent_id"] == top["id"])]
