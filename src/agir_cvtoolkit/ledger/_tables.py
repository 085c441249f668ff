"""The ledger's tables, as the newest migration leaves them.

Texts are ordered by their characters' numbers on every database, whatever the language that a server is set to; on
PostgreSQL, which would refuse longer ones, they have no bound.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import TEXT
from sqlalchemy.types import TypeEngine

_TEXT = Text().with_variant(TEXT(collation="C"), "postgresql")


def _string(length: int) -> TypeEngine[str]:
    return String(length).with_variant(TEXT(collation="C"), "postgresql")


metadata = MetaData()

migrations = Table(
    "migrations",
    metadata,
    Column("name", _string(80), primary_key=True),
    Column("applied", _string(40), nullable=False),
)

run_places = Table(
    "run_places",
    metadata,
    Column("run_id", _string(200), primary_key=True),
    Column("host", _string(255), primary_key=True),
    Column("folder", _TEXT, primary_key=True),
)

images = Table(
    "images",
    metadata,
    Column("sha256", _string(64), primary_key=True),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("source_path", _TEXT),
    Column("first_seen", _string(40), nullable=False),
    Column("phash", _string(16)),
)

predictions = Table(
    "predictions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", _string(200), nullable=False),
    Column("record_id", _TEXT, nullable=False),
    Column("image_sha256", _string(64), nullable=False),
    Column("mask_sha256", _string(64)),
    Column("model", _string(200), nullable=False),
    Column("uncertainty", Float, nullable=False),
    Column("mask_path", _TEXT),
    Column("created", _string(40), nullable=False),
    UniqueConstraint(
        "run_id", "record_id", "model", "mask_sha256", "image_sha256", name="one_prediction_of_original"
    ),
    Index("predictions_by_record", "record_id"),
)

pushes = Table(
    "pushes",
    metadata,
    Column("push_id", _string(16), primary_key=True),
    Column("server", _TEXT, nullable=False),
    Column("project_id", Integer),
    Column("organization", _string(200)),
    Column("name", _TEXT, nullable=False),
    Column("kind", _string(20), nullable=False),
    Column("run_id", _string(200), nullable=False),
    Column("created", _string(40), nullable=False),
)

push_tasks = Table(
    "push_tasks",
    metadata,
    Column("push_id", ForeignKey("pushes.push_id"), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("name", _TEXT, nullable=False),
    Column("run_id", _string(200), nullable=False),
    Column("state", _string(20), nullable=False),
    Column("task_id", Integer),
    Column("url", _TEXT),
    Column("changed", _string(40), nullable=False),
)

run_tasks = Table(
    "run_tasks",
    metadata,
    Column("run_id", _string(200), primary_key=True),
    Column("push_id", _string(16), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
)

push_frames = Table(
    "push_frames",
    metadata,
    Column("push_id", _string(16), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("frame", Integer, primary_key=True),
    Column("record_id", _TEXT, nullable=False),
    Column("file_name", _TEXT, nullable=False),
    Column("sha256", _string(64), nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("prediction_hash", _string(64), nullable=False),
    Column("units", Integer, nullable=False),
    Column("shapes", Integer),
    Index("push_frames_by_record", "record_id"),
)

push_shapes = Table(
    "push_shapes",
    metadata,
    Column("push_id", _string(16), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("frame", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("label", _TEXT, nullable=False),
    Column("kind", _string(20), nullable=False),
    Column("geometry_hash", _string(64), nullable=False),
    Column("geometry", LargeBinary),
)

push_jobs = Table(
    "push_jobs",
    metadata,
    Column("push_id", _string(16), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("job_id", Integer, primary_key=True),
    Column("start_frame", Integer, nullable=False),
    Column("stop_frame", Integer, nullable=False),
    Column("updated_date", _string(40), nullable=False),
    Column("state", _string(20), nullable=False),
    Column("written", Integer, nullable=False),
)

push_aliases = Table(
    "push_aliases",
    metadata,
    Column("push_id", _string(16), primary_key=True),
    Column("record_id", _TEXT, primary_key=True),
    Column("ordinal", Integer, nullable=False),
    Column("frame", Integer, nullable=False),
)

push_replacements = Table(
    "push_replacements",
    metadata,
    Column("push_id", _string(16), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("job_id", Integer, primary_key=True),
    Column("frame", Integer, primary_key=True),
    Column("prediction_hash", _string(64), nullable=False),
    Column("units", Integer, nullable=False),
)

replacement_shapes = Table(
    "replacement_shapes",
    metadata,
    Column("push_id", _string(16), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("frame", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("label", _TEXT, nullable=False),
    Column("kind", _string(20), nullable=False),
    Column("geometry_hash", _string(64), nullable=False),
    Column("geometry", LargeBinary),
)

jobs = Table(
    "jobs",
    metadata,
    Column("server", _TEXT, primary_key=True),
    Column("job_id", Integer, primary_key=True),
    Column("task_id", Integer, nullable=False),
    Column("project_id", Integer),
    Column("type", _string(40), nullable=False),
    Column("state", _string(20), nullable=False),
    Column("stage", _string(20), nullable=False),
    Column("start_frame", Integer, nullable=False),
    Column("stop_frame", Integer, nullable=False),
    Column("updated_date", _string(40), nullable=False),
    Column("assignee", _string(200)),
    Column("parent_job_id", Integer),
    Index("jobs_by_task", "server", "task_id"),
)

pull_cursors = Table(
    "pull_cursors",
    metadata,
    Column("server", _TEXT, primary_key=True),
    Column("run_id", _string(200), primary_key=True),
    Column("scope", _TEXT, primary_key=True),
    Column("cursor", _string(40), nullable=False),
    Column("jobs", Integer, nullable=False),
    Column("moved", _string(40), nullable=False),
)

pull_tasks = Table(
    "pull_tasks",
    metadata,
    Column("server", _TEXT, primary_key=True),
    Column("run_id", _string(200), primary_key=True),
    Column("task_id", Integer, primary_key=True),
    Column("name", _TEXT, nullable=False),
    Column("updated_date", _string(40), nullable=False),
    Column("frames_of", _string(40)),
    Column("frames_read", _string(40)),
)

pulls = Table(
    "pulls",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("server", _TEXT, nullable=False),
    Column("run_id", _string(200), nullable=False),
    Column("task_id", Integer, nullable=False),
    Column("job_id", Integer, nullable=False),
    Column("updated_date", _string(40), nullable=False),
    Column("state", _string(20), nullable=False),
    Column("stage", _string(20), nullable=False),
    Column("frames", Integer, nullable=False),
    Column("shapes", Integer, nullable=False),
    Column("stored", _TEXT, nullable=False),
    Column("created", _string(40), nullable=False),
    Column("assignee", _string(200)),
    Column("type", _string(40)),
    UniqueConstraint("server", "run_id", "job_id", "updated_date", name="one_pull"),
)

job_work = Table(
    "job_work",
    metadata,
    Column("server", _TEXT, primary_key=True),
    Column("job_id", Integer, primary_key=True),
    Column("updated_date", _string(40), nullable=False),
    Column("seconds", Float),
    Column("is_simulated", Boolean, nullable=False),
    Column("is_final", Boolean, nullable=False),
    Column("looked", _string(40), nullable=False),
)

corrections = Table(
    "corrections",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("server", _TEXT, nullable=False),
    Column("run_id", _string(200), nullable=False),
    Column("task_id", Integer, nullable=False),
    Column("job_id", Integer, nullable=False),
    Column("frame", Integer, nullable=False),
    Column("record_id", _TEXT, nullable=False),
    Column("outcome", _string(20), nullable=False),
    Column("label", _TEXT, nullable=False),
    Column("label_before", _TEXT),
    Column("kind", _string(20), nullable=False),
    Column("iou", Float),
    Column("boundary_px", Float),
    Column("moved_points", Integer),
    Column("moved_px", Float),
    Column("changed_points", Integer),
    Column("annotator", _string(200)),
    Column("updated_date", _string(40), nullable=False),
    Column("changed", _TEXT),
    Column("created", _string(40), nullable=False),
    Index("corrections_by_job", "server", "run_id", "job_id"),
    Index("corrections_by_record", "record_id"),
)

models = Table(
    "models",
    metadata,
    Column("version", _string(64), primary_key=True),
    Column("path", _TEXT, nullable=False),
    Column("name", _TEXT, nullable=False),
    Column("run_id", _string(200)),
    Column("card", _TEXT, nullable=False),
    Column("created", _string(40), nullable=False),
    Column("champion_since", _string(40)),
    Column("is_champion", Boolean, nullable=False, default=False),
    Column("kind", _string(20)),
    Column("metrics", _TEXT),
    Column("test_set", _string(64)),
    Column("host", _string(255)),
)

test_members = Table(
    "test_members",
    metadata,
    Column("test_set", _string(80), primary_key=True),
    Column("member", _string(400), primary_key=True),
    Column("side", _string(8), nullable=False),
    Column("since", _string(40), nullable=False),
)

dataset_versions = Table(
    "dataset_versions",
    metadata,
    Column("version", _string(64), primary_key=True),
    Column("run_id", _string(200), nullable=False),
    Column("parent", _string(64)),
    Column("path", _TEXT, nullable=False),
    Column("made_from", _TEXT, nullable=False),
    Column("pictures", Integer, nullable=False),
    Column("records", Integer, nullable=False),
    Column("tiles", _TEXT, nullable=False),
    Column("classes", _TEXT, nullable=False),
    Column("class_pixels", _TEXT, nullable=False),
    Column("created", _string(40), nullable=False),
)

dataset_members = Table(
    "dataset_members",
    metadata,
    Column("version", _string(64), primary_key=True),
    Column("record_id", _TEXT, primary_key=True),
    Column("sha256", _string(64), nullable=False),
    Column("mask_sha256", _string(64), nullable=False),
    Column("picture", _TEXT, nullable=False),
    Column("side", _string(16), nullable=False),
    Index("dataset_members_by_record", "record_id"),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", _string(40), nullable=False),
    Column("kind", _string(40), nullable=False),
    Column("run_id", _string(200)),
    Column("record_id", _TEXT),
    Column("detail", _TEXT, nullable=False),
    Index("events_by_record", "record_id"),
)
