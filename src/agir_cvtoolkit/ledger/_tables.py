"""The ledger's tables, as the newest migration leaves them."""

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

metadata = MetaData()

migrations = Table(
    "migrations",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("applied", String(40), nullable=False),
)

images = Table(
    "images",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("source_path", Text),
    Column("first_seen", String(40), nullable=False),
)

predictions = Table(
    "predictions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", String(200), nullable=False),
    Column("record_id", Text, nullable=False),
    Column("image_sha256", String(64), nullable=False),
    Column("mask_sha256", String(64)),
    Column("model", String(200), nullable=False),
    Column("uncertainty", Float, nullable=False),
    Column("mask_path", Text),
    Column("created", String(40), nullable=False),
    UniqueConstraint("run_id", "record_id", "model", "mask_sha256", name="one_prediction"),
    Index("predictions_by_record", "record_id"),
)

pushes = Table(
    "pushes",
    metadata,
    Column("push_id", String(16), primary_key=True),
    Column("server", Text, nullable=False),
    Column("project_id", Integer),
    Column("organization", String(200)),
    Column("name", Text, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("run_id", String(200), nullable=False),
    Column("created", String(40), nullable=False),
)

push_tasks = Table(
    "push_tasks",
    metadata,
    Column("push_id", ForeignKey("pushes.push_id"), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("run_id", String(200), nullable=False),
    Column("state", String(20), nullable=False),
    Column("task_id", Integer),
    Column("url", Text),
    Column("changed", String(40), nullable=False),
)

run_tasks = Table(
    "run_tasks",
    metadata,
    Column("run_id", String(200), primary_key=True),
    Column("push_id", String(16), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
)

push_frames = Table(
    "push_frames",
    metadata,
    Column("push_id", String(16), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("frame", Integer, primary_key=True),
    Column("record_id", Text, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("prediction_hash", String(64), nullable=False),
    Column("units", Integer, nullable=False),
    Column("shapes", Integer),
    Index("push_frames_by_record", "record_id"),
)

push_shapes = Table(
    "push_shapes",
    metadata,
    Column("push_id", String(16), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("frame", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("label", Text, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("geometry_hash", String(64), nullable=False),
    Column("geometry", LargeBinary),
)

push_jobs = Table(
    "push_jobs",
    metadata,
    Column("push_id", String(16), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("job_id", Integer, primary_key=True),
    Column("start_frame", Integer, nullable=False),
    Column("stop_frame", Integer, nullable=False),
    Column("updated_date", String(40), nullable=False),
    Column("state", String(20), nullable=False),
    Column("written", Integer, nullable=False),
)

push_aliases = Table(
    "push_aliases",
    metadata,
    Column("push_id", String(16), primary_key=True),
    Column("record_id", Text, primary_key=True),
    Column("ordinal", Integer, nullable=False),
    Column("frame", Integer, nullable=False),
)

push_replacements = Table(
    "push_replacements",
    metadata,
    Column("push_id", String(16), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("job_id", Integer, primary_key=True),
    Column("frame", Integer, primary_key=True),
    Column("prediction_hash", String(64), nullable=False),
    Column("units", Integer, nullable=False),
)

replacement_shapes = Table(
    "replacement_shapes",
    metadata,
    Column("push_id", String(16), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("frame", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("label", Text, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("geometry_hash", String(64), nullable=False),
    Column("geometry", LargeBinary),
)

jobs = Table(
    "jobs",
    metadata,
    Column("server", Text, primary_key=True),
    Column("job_id", Integer, primary_key=True),
    Column("task_id", Integer, nullable=False),
    Column("project_id", Integer),
    Column("type", String(40), nullable=False),
    Column("state", String(20), nullable=False),
    Column("stage", String(20), nullable=False),
    Column("start_frame", Integer, nullable=False),
    Column("stop_frame", Integer, nullable=False),
    Column("updated_date", String(40), nullable=False),
    Column("assignee", String(200)),
    Column("parent_job_id", Integer),
    Index("jobs_by_task", "server", "task_id"),
)

pull_cursors = Table(
    "pull_cursors",
    metadata,
    Column("server", Text, primary_key=True),
    Column("run_id", String(200), primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("cursor", String(40), nullable=False),
    Column("jobs", Integer, nullable=False),
    Column("moved", String(40), nullable=False),
)

pull_tasks = Table(
    "pull_tasks",
    metadata,
    Column("server", Text, primary_key=True),
    Column("run_id", String(200), primary_key=True),
    Column("task_id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("updated_date", String(40), nullable=False),
    Column("frames_of", String(40)),
    Column("frames_read", String(40)),
)

pulls = Table(
    "pulls",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("server", Text, nullable=False),
    Column("run_id", String(200), nullable=False),
    Column("task_id", Integer, nullable=False),
    Column("job_id", Integer, nullable=False),
    Column("updated_date", String(40), nullable=False),
    Column("state", String(20), nullable=False),
    Column("stage", String(20), nullable=False),
    Column("frames", Integer, nullable=False),
    Column("shapes", Integer, nullable=False),
    Column("stored", Text, nullable=False),
    Column("created", String(40), nullable=False),
    Column("assignee", String(200)),
    Column("type", String(40)),
    UniqueConstraint("server", "run_id", "job_id", "updated_date", name="one_pull"),
)

corrections = Table(
    "corrections",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("server", Text, nullable=False),
    Column("run_id", String(200), nullable=False),
    Column("task_id", Integer, nullable=False),
    Column("job_id", Integer, nullable=False),
    Column("frame", Integer, nullable=False),
    Column("record_id", Text, nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("label", Text, nullable=False),
    Column("label_before", Text),
    Column("kind", String(20), nullable=False),
    Column("iou", Float),
    Column("boundary_px", Float),
    Column("moved_points", Integer),
    Column("moved_px", Float),
    Column("changed_points", Integer),
    Column("annotator", String(200)),
    Column("updated_date", String(40), nullable=False),
    Column("changed", Text),
    Column("created", String(40), nullable=False),
    Index("corrections_by_job", "server", "run_id", "job_id"),
    Index("corrections_by_record", "record_id"),
)

models = Table(
    "models",
    metadata,
    Column("version", String(64), primary_key=True),
    Column("path", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("run_id", String(200)),
    Column("card", Text, nullable=False),
    Column("created", String(40), nullable=False),
    Column("champion_since", String(40)),
    Column("is_champion", Boolean, nullable=False, default=False),
    Column("kind", String(20)),
    Column("metrics", Text),
    Column("test_set", String(64)),
)

test_members = Table(
    "test_members",
    metadata,
    Column("test_set", String(80), primary_key=True),
    Column("member", String(400), primary_key=True),
    Column("side", String(8), nullable=False),
    Column("since", String(40), nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", String(40), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("run_id", String(200)),
    Column("record_id", Text),
    Column("detail", Text, nullable=False),
    Index("events_by_record", "record_id"),
)
