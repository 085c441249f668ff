"""Labels and names of the pictures that lie in a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.labelled import LabelEntry
from agir_cvtoolkit.records import file_stem
from agir_cvtoolkit.runs import Run

from ._classes import class_table, read_classes
from ._labelled_poses import schema_of_file
from ._pulled import PulledFrame, PulledTask


class RunLabels:
    """The labels of a set, those first that have a mask value."""

    def __init__(self, run: Run) -> None:
        path = class_table(run)
        self._values = read_classes(path) if path.is_file() else {}
        self._found: dict[str, LabelEntry] = {}
        self._seen: set[tuple[str, ...]] = set()

    def add(self, shape: Mapping[str, Any]) -> None:
        """Take note of a plain shape or tag."""
        name = str(shape["label"])
        seen = (name, shape["kind"], *shape["attributes"])
        if seen in self._seen:
            return
        self._seen.add(seen)
        known = self._found.get(name) or LabelEntry(name, value=self._values.get(name))
        attributes = (*known.attributes, *(n for n in shape["attributes"] if n not in known.attributes))
        joints = known.joints
        if shape["kind"] == "skeleton":
            joints = joints or tuple(str(e["label"]) for e in shape["elements"])
        if shape["kind"] == "tag":
            kind = known.kind if name in self._found else "tag"
        else:
            kind = "skeleton" if joints else "any"
        self._found[name] = replace(known, kind=kind, attributes=attributes, joints=joints)

    def add_poses(self, poses: Iterable[Path], kept: JointSchema | None) -> None:
        """Add the skeletons that single points become; their joints are no labels of their own then.

        Args:
            poses: files of the poses of all pictures.
            kept: the schema of the run.
        """
        schemas = {schema.name: schema for schema in (schema_of_file(path, kept) for path in poses)}
        for schema in schemas.values():
            for name in [n for n in self._found if schema.resolve(n) is not None]:
                del self._found[name]
            entry = LabelEntry.of_schema(schema)
            known = self._found.get(entry.name)
            drawn = known is not None and bool(known.joints)
            self._found[entry.name] = _linked(known, schema) if known is not None and drawn else entry

    def entries(self) -> tuple[LabelEntry, ...]:
        """Return all labels, those with a mask value first."""
        return tuple(sorted(self._found.values(), key=lambda e: (e.value is None, e.value or 0, e.name)))


def _linked(label: LabelEntry, schema: JointSchema) -> LabelEntry:
    """Add what a schema knows to a label that was drawn as a skeleton, in its own order and spelling."""
    spelled = {schema.resolve(joint): joint for joint in label.joints}
    if not set(spelled) >= set(schema.joints):
        return label
    places = {joint: i for i, joint in enumerate(label.joints)}
    other = {
        spelled[a]: spelled[schema.joints[b]] for a, b in zip(schema.joints, schema.mirrored, strict=True)
    }
    mirrored = tuple(places[other.get(joint, joint)] for joint in label.joints)
    links = tuple((spelled[a], spelled[b]) for a, b in schema.links)
    return replace(label, links=links, mirrored=mirrored)


class Names:
    """Gives pictures names that are paths below a folder and differ without their suffix."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}

    def name(self, task: PulledTask, frame: PulledFrame) -> str:
        """Return the name of a frame, the same one each time."""
        parts = [
            file_stem(part) for part in PurePosixPath(frame.file_name.replace("\\", "/")).parts if part != "/"
        ]
        path = PurePosixPath(*parts)
        key = str(path.with_suffix("")).casefold()
        owner = f"{task.task_id}/{frame.frame}"
        if self._taken.setdefault(key, owner) == owner:
            return str(path)
        return str(PurePosixPath(f"task_{task.task_id}", str(frame.frame), path))


def record_id_of(task: PulledTask, frame: PulledFrame) -> str:
    """Return the record that a frame is in a set."""
    # A picture of somebody else's task may share no more than its name with a record.
    return frame.record_id if frame.sha256 is not None else f"{task.task_id}_{frame.record_id}"
