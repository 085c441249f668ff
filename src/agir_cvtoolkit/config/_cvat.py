"""Settings of the way into CVAT and out of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ._base import Group

RequiredStatus = Literal[
    "completed", "new", "in progress", "rejected", "annotation", "validation", "acceptance"
]

RequiredStage = Literal["annotation", "validation", "acceptance"]
JobType = Literal["annotation", "ground_truth", "replica"]


LARGEST_ID = 2**63 - 1


def _everything_is_weed() -> dict[str, str | dict[int, str]]:
    return {"_default": "weed"}


class UploadSource(Group):
    """What is uploaded: masks or key points of the predictor, or boxes of the database."""

    type: Literal["segmentations", "detections", "keypoints"] = "segmentations"
    db: Literal["semif", "field"] = "semif"


class PoseProposals(Group):
    """How key points look in CVAT; `joints` null is the schema that the poses were made with."""

    joints: str | None = Field(default=None, min_length=1)
    style: Literal["points", "skeleton"] = "points"
    box_label: str | None = Field(default=None, min_length=1)
    min_confidence: float = Field(default=0.3, ge=0.0, le=1.0)


class ShareSettings(Group):
    """The server's share: `root` is where it is mounted on this machine."""

    root: str | None = Field(default=None, min_length=1)


class CloudSettings(Group):
    """A bucket that is registered with the server.

    `root` is where the bucket's content lies on this machine (mounted, or the folder that was copied there),
    `prefix` what its keys have before their paths below `root`; `manifest` is a path below `root`.
    """

    storage_id: int | None = Field(default=None, ge=1, le=LARGEST_ID)
    root: str | None = Field(default=None, min_length=1)
    prefix: str = ""
    manifest: str | None = Field(default="manifest.jsonl", pattern=r"\.jsonl$")
    write_manifest: bool = False


class CvatUpload(Group):
    """Settings of ``upload-cvat``."""

    project_id: int | None = Field(default=None, ge=1, le=LARGEST_ID)
    organization_slug: str | None = None
    task_name: str | None = Field(default=None, min_length=1, max_length=200)
    labels: tuple[str, ...] = ("weed",)
    mask_strategy: Literal["mask", "polygon"] = "mask"
    polygon_tolerance: float = Field(default=1.0, ge=0)
    per_component: bool = False
    source: UploadSource = UploadSource()
    pose: PoseProposals = PoseProposals()
    label_map: dict[str, str | dict[int, str]] = Field(default_factory=_everything_is_weed)
    images_per_task: int = Field(default=200, ge=1)
    segment_size: int | None = Field(default=None, ge=1)
    chunk_size: int | None = Field(default=None, ge=1)
    image_quality: int = Field(default=95, ge=1, le=100)
    use_cache: bool = True
    assignees: tuple[str, ...] = ()
    subset: str | None = Field(default=None, min_length=1, max_length=64)
    transport: Literal["bytes", "share", "cloud"] = "bytes"
    share: ShareSettings = ShareSettings()
    cloud: CloudSettings = CloudSettings()
    unreachable: Literal["error", "bytes"] = "error"
    parallel_requests: int = Field(default=4, ge=1, le=32)
    deadline_s: float = Field(default=3600, gt=0)

    @field_validator("labels")
    @classmethod
    def _labels_differ(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        spelled = [label.strip().casefold().replace("_", " ") for label in labels]
        if not all(spelled):
            raise ValueError("no label may be empty")
        if len(set(spelled)) != len(spelled):
            raise ValueError("labels must differ in more than case, space and _")
        return labels

    @model_validator(mode="after")
    def _places_are_named(self) -> CvatUpload:
        if self.transport == "share" and self.share.root is None:
            raise ValueError("transport=share needs share.root: where the server's share is mounted here")
        if self.transport == "cloud" and (self.cloud.root is None or self.cloud.storage_id is None):
            raise ValueError("transport=cloud needs cloud.storage_id and cloud.root")
        for root in (self.share.root, self.cloud.root):
            if root is not None and "://" in root:
                raise ValueError(
                    f"'{root}' is an address; root is the folder on this machine that holds the same files, and "
                    "cloud.prefix what the keys have before their paths there"
                )
        return self

    @model_validator(mode="after")
    def _own_tasks_need_labels(self) -> CvatUpload:
        if not self.labels and self.project_id is None:
            raise ValueError("labels may be empty only with a project_id")
        return self


class CvatDownload(Group):
    """Settings of ``download-cvat``."""

    project_id: int | None = Field(default=None, ge=1, le=LARGEST_ID)
    organization_slug: str | None = None
    task_ids: tuple[Annotated[int, Field(ge=1, le=LARGEST_ID)], ...] | None = None
    required_status: RequiredStatus | None = "completed"
    required_stage: RequiredStage | None = None
    job_types: tuple[JobType, ...] = Field(default=("annotation",), min_length=1)
    joints: str | None = Field(default=None, min_length=1)
    dataset_format: str | None = Field(default=None, min_length=1, max_length=120)
    include_images: bool = False
    overwrite_existing: bool = False
    parallel_requests: int = Field(default=4, ge=1, le=32)
    poll_s: float = Field(default=60.0, ge=0.1)

    @field_validator("job_types", mode="before")
    @classmethod
    def _one_name_for_replicas(cls, types: object) -> object:
        if not isinstance(types, list | tuple):
            return types
        return tuple("replica" if name == "consensus_replica" else name for name in types)


RETIRED = {
    "cvat_download.check_image_exists": "deleted frames are always left out, and missing pictures are listed",
}
