"""The joints of a run's poses: a user's schema is kept beside them, since its name alone finds no file."""

from __future__ import annotations

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.joints import DEFAULT_SCHEMA, SCHEMAS, JointSchema, load_schema, schema_text
from agir_cvtoolkit.poses import read_poses
from agir_cvtoolkit.runs import Run, write_text

_FILE = ("poses", "joints.yaml")


def keep_schema(run: Run, schema: JointSchema) -> None:
    """Keep the schema that a run's poses are in; one that comes with the package is found by its name."""
    packaged = schema.name in SCHEMAS and load_schema(schema.name) == schema
    if not packaged:
        write_text(run.path(*_FILE), schema_text(schema))


def kept_schema(run: Run) -> JointSchema | None:
    """Return the schema that was kept in a run; None where its poses are in a packaged one, or there are none.

    Raises:
        ConfigError: the file is damaged.
    """
    path = run.path(*_FILE)
    return load_schema(str(path)) if path.is_file() else None


def kept_joints(run: Run, named: str) -> str:
    """Return by what `load_schema` finds the schema of a run's poses: the one that was kept, else `named`."""
    path = run.path(*_FILE)
    return str(path) if path.is_file() else named


def schema_of_poses(run: Run) -> JointSchema:
    """Return the schema that a run's first poses name.

    Raises:
        ConfigError: there is none of that name.
    """
    kept = kept_schema(run)
    for entry in run.read_manifest():
        if entry.pose_path is not None:
            try:
                name = read_poses(run.inside(entry.pose_path))[0] or DEFAULT_SCHEMA
            except DataError:
                continue
            return kept if kept is not None and kept.name == name else load_schema(name)
    return load_schema(DEFAULT_SCHEMA)
