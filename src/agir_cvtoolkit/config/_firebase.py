"""The group ``firebase``: where captures are, what is taken of them, and when there is retraining."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from ._base import Group


class Collections(Group):
    """Names of the collections."""

    uncertain_poses: str = Field(default="uncertain_poses", min_length=1)
    labeled_data: str = Field(default="labeled_data", min_length=1)
    retraining_triggers: str = Field(default="retraining_triggers", min_length=1)
    models: str = Field(default="models", min_length=1)


class Pose(Group):
    """The joints, and how they look in CVAT."""

    joints: str = Field(default="dog24", min_length=1)
    style: Literal["points", "skeleton"] = "points"
    box_label: str | None = Field(default=None, min_length=1)


class Firebase(Group):
    """Settings of the ``firebase`` commands; every key is described in ``conf/firebase/default.yaml``."""

    store: Literal["firestore", "embedded"] = "firestore"
    embedded_dir: str = Field(default="outputs/firebase", min_length=1)
    service_account: str | None = Field(default=None, min_length=1)
    project_id: str | None = Field(default=None, min_length=1)
    storage_bucket: str | None = Field(default=None, min_length=1)
    image_path: str = Field(default="training_images/{pose_id}.jpg", min_length=1)
    model_path: str = Field(default="models/{version}/{file}", min_length=1)
    database: str = Field(default="(default)", min_length=1)
    collections: Collections = Collections()
    upload_threshold: float = Field(default=0.6, gt=0.0, le=1.0)
    min_confidence: float = Field(default=0.3, ge=0.0, le=1.0)
    retraining_threshold: int = Field(default=10, ge=1)
    lease_s: float = Field(default=1800.0, ge=1.0)
    picture_grace_s: float = Field(default=600.0, ge=0.0)
    parallel_requests: int = Field(default=16, ge=1, le=64)
    output_dir: str = Field(default="/data/cvat-annotations", min_length=1)
    gpusrv_host: str = Field(default="gpusrv.tailfdc654.ts.net", min_length=1)
    deliver: Literal["none", "rsync"] = "none"
    strip_metadata: bool = True
    cvat_project: str = Field(default="DataDogs Pose Estimation", min_length=1, max_length=200)
    max_megapixels: float = Field(default=178.0, gt=0.0)
    poll_s: float = Field(default=60.0, ge=0.1)
    pose: Pose = Pose()

    @field_validator("image_path")
    @classmethod
    def _names_the_pose(cls, path: str) -> str:
        if "{pose_id}" not in path:
            raise ValueError("it must contain {pose_id}, or all captures would have one picture")
        return path
