"""The "CVAT for images 1.1" document, written as the real server writes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from xml.sax.saxutils import escape, quoteattr

import orjson

from .annotations import annotations_json
from .labels import labels_of, owner_of
from .media import frames_of
from .store import Json, Store
from .tasks import frames_in, kind_of, work_jobs_of
from .tracks import shapes_of

Part = tuple[Json, list[Json]]


def document(store: Store, target: str, found: Json, parts: Sequence[Part], origin: str) -> str:
    """Return the document of a task, job or project.

    Args:
        found: the exported object.
        parts: its tasks, each with the jobs whose frames and annotations belong in.
        origin: scheme and host for links.
    """
    out = _Writer()
    out.line('<?xml version="1.0" encoding="utf-8"?>')
    out.open("annotations")
    out.text("version", "1.1")
    out.open("meta")
    owner = f"project:{found['id']}" if target == "project" else owner_of(parts[0][0])
    if target == "project":
        _project_meta(out, store, found, parts, origin)
    else:
        _task_meta(out, store, target, found, parts[0], origin)
    out.text("dumped", datetime.now(UTC).isoformat(sep=" "))
    out.close("meta")
    names = _Names(labels_of(store, owner))
    first = 0
    for task, jobs in parts:
        _images(out, store, task, jobs, names, first if target == "project" else None)
        first += int(task["data"]["size"])
    out.close("annotations")
    return out.result()


class _Writer:
    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0

    def line(self, text: str) -> None:
        self._lines.append("  " * self._depth + text)

    def open(self, name: str, attributes: Sequence[tuple[str, str]] = ()) -> None:
        inside = "".join(f" {key}={quoteattr(value)}" for key, value in attributes)
        self.line(f"<{name}{inside}>")
        self._depth += 1

    def close(self, name: str) -> None:
        self._depth -= 1
        self.line(f"</{name}>")

    def text(self, name: str, value: object, attributes: Sequence[tuple[str, str]] = ()) -> None:
        inside = "".join(f" {key}={quoteattr(found)}" for key, found in attributes)
        self.line(f"<{name}{inside}>{escape('' if value is None else str(value))}</{name}>")

    def result(self) -> str:
        return "\n".join(self._lines) + "\n"


class _Names:
    """Names of labels and attributes by id."""

    def __init__(self, labels: Sequence[Json]) -> None:
        self.labels = {label["id"]: label["name"] for label in labels}
        self.attributes = {a["id"]: a["name"] for label in labels for a in label["attributes"]}


def _date(text: str) -> str:
    return text.replace("T", " ").replace("Z", "+00:00")


def _task_meta(out: _Writer, store: Store, target: str, found: Json, part: Part, origin: str) -> None:
    task, _jobs = part
    out.open(target)
    _task_fields(out, store, target, found, part, origin)
    _labels(out, labels_of(store, owner_of(task)))
    out.close(target)


def _task_fields(out: _Writer, store: Store, target: str, found: Json, part: Part, origin: str) -> None:
    task, jobs = part
    data = task["data"]
    first, last = jobs[0]["start_frame"], jobs[-1]["stop_frame"]
    out.text("id", found["id"])
    if target != "job":
        out.text("name", task["name"])
    out.text("size", last - first + 1)
    out.text("mode", "annotation")
    out.text("overlap", task["overlap"] or 0)
    out.text("bugtracker", task["bug_tracker"])
    out.text("created", _date(task["created_date"]))
    out.text("updated", _date(found["updated_date"]))
    out.text("subset", task["subset"] or "default")
    out.text("start_frame", data["start_frame"] + first * data["step"])
    out.text("stop_frame", data["start_frame"] + last * data["step"])
    out.text("frame_filter", data["frame_filter"])
    out.open("segments")
    for job in jobs if target == "job" else work_jobs_of(store, task):
        out.open("segment")
        out.text("id", job["id"])
        out.text("start", job["start_frame"])
        out.text("stop", job["stop_frame"])
        out.text("url", f"{origin}/api/jobs/{job['id']}")
        out.close("segment")
    out.close("segments")
    _person(out, store, "owner", task["owner_id"])
    _person(out, store, "assignee", found["assignee_id"])


def _project_meta(out: _Writer, store: Store, project: Json, parts: Sequence[Part], origin: str) -> None:
    out.open("project")
    out.text("id", project["id"])
    out.text("name", project["name"])
    out.text("bugtracker", project["bug_tracker"])
    out.text("created", _date(project["created_date"]))
    out.text("updated", _date(project["updated_date"]))
    out.open("tasks")
    for part in parts:
        out.open("task")
        _task_fields(out, store, "task", part[0], part, origin)
        out.close("task")
    out.close("tasks")
    _labels(out, labels_of(store, f"project:{project['id']}"))
    out.text("subsets", "\n".join(sorted({task["subset"] or "default" for task, _ in parts})))
    _person(out, store, "owner", project["owner_id"])
    _person(out, store, "assignee", project["assignee_id"])
    out.close("project")


def _person(out: _Writer, store: Store, name: str, user_id: int | None) -> None:
    user = None if user_id is None else store.get("user", user_id)
    if user is None:
        out.text(name, "")
        return
    out.open(name)
    out.text("username", user["username"])
    out.text("email", user["email"])
    out.close(name)


def _labels(out: _Writer, labels: Sequence[Json]) -> None:
    names = {label["id"]: label["name"] for label in labels}
    out.open("labels")
    for label in labels:
        out.open("label")
        out.text("name", label["name"])
        out.text("color", label["color"])
        out.text("type", label["type"])
        out.open("attributes")
        for attribute in label["attributes"]:
            out.open("attribute")
            out.text("name", attribute["name"])
            out.text("mutable", attribute["mutable"])
            out.text("input_type", attribute["input_type"])
            out.text("default_value", attribute["default_value"])
            out.text("values", "\n".join(attribute["values"]))
            out.close("attribute")
        out.close("attributes")
        if label["type"] == "skeleton":
            out.text("svg", _named_nodes(label["svg"], names))
        if label["parent_id"] is not None:
            out.text("parent", names[label["parent_id"]])
        out.close("label")
    out.close("labels")


def _named_nodes(svg: str, names: dict[int, str]) -> str:
    for number, name in names.items():
        svg = svg.replace(f'data-label-id="{number}"', f'data-label-name="{name}"')
    return svg


def _images(
    out: _Writer, store: Store, task: Json, jobs: Sequence[Json], names: _Names, first: int | None
) -> None:
    content = orjson.loads(annotations_json(store, task, jobs, whole=True))
    shapes: dict[int, list[Json]] = {}
    for shape in (*content["shapes"], *_tracked(store, task, jobs)):
        shapes.setdefault(shape["frame"], []).append(shape)
    tags: dict[int, list[Json]] = {}
    for tag in content["tags"]:
        tags.setdefault(tag["frame"], []).append(tag)
    inside = exported_frames(store, task, jobs)
    for number, frame in enumerate(frames_of(store, task["id"])):
        if number not in inside:
            continue
        attributes = [("id", str(number if first is None else first + number)), ("name", frame["name"])]
        if first is not None:
            attributes += [("subset", task["subset"] or "default"), ("task_id", str(task["id"]))]
        attributes += [("width", str(frame["width"])), ("height", str(frame["height"]))]
        out.open("image", attributes)
        for shape in sorted(shapes.get(number, []), key=lambda s: int(s["z_order"])):
            _shape(out, shape, names)
        for tag in tags.get(number, []):
            head = [("label", names.labels[tag["label_id"]]), ("source", tag["source"])]
            if tag["group"]:
                head.append(("group_id", str(tag["group"])))
            _element(out, "tag", head, tag, names)
        out.close("image")


def exported_frames(store: Store, task: Json, jobs: Sequence[Json]) -> set[int]:
    """Return the frames that an export of some jobs holds.

    Deleted ones are left out, and of several jobs or a whole task also hidden copies of a validation pool.
    """
    inside = {number for job in jobs for number in frames_in(job)} - set(task["data"]["deleted_frames"])
    pool = task["data"].get("validation_mode") == "gt_pool"
    if pool and any(kind_of(job) == "ground_truth" for job in jobs):
        frames = frames_of(store, task["id"])
        inside -= {number for number in inside if "real" in frames[number]}
    return inside


def _tracked(store: Store, task: Json, jobs: Sequence[Json]) -> Iterator[Json]:
    deleted = frozenset(task["data"]["deleted_frames"])
    for job in jobs:
        for _, _, body in store.items([job["id"]], "tracks"):
            yield from shapes_of(orjson.loads(body), int(job["stop_frame"]), deleted)


def _shape(out: _Writer, shape: Json, names: _Names) -> None:
    kind = shape["type"]
    head = [("label", names.labels[shape["label_id"]]), ("source", shape["source"])]
    tail = [("z_order", str(shape["z_order"]))]
    if shape["group"]:
        tail.append(("group_id", str(shape["group"])))
    if kind == "skeleton":
        out.open("skeleton", head + tail)
        for element in shape["elements"]:
            inner = [
                ("label", names.labels[element["label_id"]]),
                ("source", element["source"]),
                ("outside", str(int(element["outside"]))),
                ("occluded", str(int(element["occluded"]))),
                ("points", _pairs(element["points"])),
            ]
            _element(out, element["type"], inner, element, names)
        _values(out, shape, names)
        out.close("skeleton")
        return
    head.append(("occluded", str(int(shape["occluded"]))))
    _element(out, "box" if kind == "rectangle" else kind, head + _geometry(shape) + tail, shape, names)


def _geometry(shape: Json) -> list[tuple[str, str]]:
    points: list[float] = shape["points"]
    kind = shape["type"]
    turn = f"{shape['rotation']:.2f}"
    turned = [("rotation", turn)] if float(turn) else []
    if kind == "rectangle":
        return [
            (key, f"{v:.2f}") for key, v in zip(("xtl", "ytl", "xbr", "ybr"), points, strict=True)
        ] + turned
    if kind == "ellipse":
        cx, cy, right, top = points
        sizes = (("cx", cx), ("cy", cy), ("rx", right - cx), ("ry", cy - top))
        return [(key, f"{v:.2f}") for key, v in sizes] + turned
    if kind == "mask":
        left, upper, right, lower = (int(v) for v in points[-4:])
        return [
            ("rle", ", ".join(str(int(v)) for v in points[:-4])),
            ("left", str(left)),
            ("top", str(upper)),
            ("width", str(right - left + 1)),
            ("height", str(lower - upper + 1)),
        ]
    if kind == "cuboid":
        keys = [
            f"{axis}{corner}{n}" for corner in ("tl", "bl", "tr", "br") for n in (1, 2) for axis in ("x", "y")
        ]
        return [(key, f"{v:.2f}") for key, v in zip(keys, points, strict=True)]
    return [("points", _pairs(points))]


def _pairs(points: list[float]) -> str:
    return ";".join(f"{x:.2f},{y:.2f}" for x, y in zip(points[::2], points[1::2], strict=True))


def _element(out: _Writer, name: str, attributes: list[tuple[str, str]], item: Json, names: _Names) -> None:
    out.open(name, attributes)
    _values(out, item, names)
    out.close(name)


def _values(out: _Writer, item: Json, names: _Names) -> None:
    for value in item["attributes"]:
        out.text("attribute", value["value"], [("name", names.attributes[value["spec_id"]])])
