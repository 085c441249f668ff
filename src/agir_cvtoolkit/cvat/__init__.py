"""Everything that speaks to CVAT or reads its files; the only place that knows its interface.

A conversation starts with `CvatSession.open`. `create_task_with_pictures` and `write_new` push, `find_jobs`,
`read_job` and `download_originals` pull.
"""

from __future__ import annotations

from agir_cvtoolkit.credentials import Credentials

from .access_token import AccessToken
from .annotations import WrittenCount, read_job, write_new
from .attributes_json import CONFIDENCE_NAMES
from .background import wait_for_request
from .capabilities import Capabilities
from .clock import Clock, SystemClock
from .export import IMAGES_FORMAT, export_dataset, read_job_by_export
from .forgetting import FrameForgotten, forget_frame
from .frames import (
    FrameEntry,
    FrameMap,
    check_frames,
    read_frame_map,
    read_frames_of_jobs,
    read_job_frames,
)
from .job_content import JobAnnotations, SkippedShape, annotations_from_json
from .jobs import (
    ANNOTATION,
    GROUND_TRUTH,
    REPLICA,
    STAGES,
    STATES,
    JobInfo,
    find_jobs,
    has_come_to,
    split_status,
)
from .labels import AttributeSpec, LabelSet, LabelSpec, NewLabel, normal_name, read_labels
from .listings import ListedTask, Listing, Scope, count_jobs, list_jobs, list_tasks, moment
from .manifest import ManifestPicture, add_to_manifest, manifest_text, read_manifest
from .members import Member, assign_jobs, find_members
from .names import upload_name
from .originals import OriginalWanted, download_original, download_originals
from .projects import (
    ProjectInfo,
    create_project,
    find_project,
    find_projects,
    organization_slug,
)
from .pushing import TaskCreated, create_task_with_pictures
from .retry import RetryPolicy
from .server_files import ServerPlace, check_server_files
from .session import PAGE_SIZE, UNSET, CvatSession, Organization, Unset
from .shape_check import validate, validate_tag
from .shapes_json import ReadShape, shape_from_json, shape_to_json
from .storages import StorageInfo, find_storage, find_storages
from .tasks import TaskInfo, TaskRequest, create_task, delete_task, find_tasks, get_task
from .transport import Response, Transport, TransportFailure, Urllib3Transport
from .upload import PictureToSend, UploadOptions
from .xml_shapes import ExportedImage, read_images_xml

__all__ = [
    "ANNOTATION",
    "CONFIDENCE_NAMES",
    "GROUND_TRUTH",
    "IMAGES_FORMAT",
    "PAGE_SIZE",
    "REPLICA",
    "STAGES",
    "STATES",
    "UNSET",
    "AccessToken",
    "AttributeSpec",
    "Capabilities",
    "Clock",
    "Credentials",
    "CvatSession",
    "ExportedImage",
    "FrameEntry",
    "FrameForgotten",
    "FrameMap",
    "JobAnnotations",
    "JobInfo",
    "LabelSet",
    "LabelSpec",
    "ListedTask",
    "Listing",
    "ManifestPicture",
    "Member",
    "NewLabel",
    "Organization",
    "OriginalWanted",
    "PictureToSend",
    "ProjectInfo",
    "ReadShape",
    "Response",
    "RetryPolicy",
    "Scope",
    "ServerPlace",
    "SkippedShape",
    "StorageInfo",
    "SystemClock",
    "TaskCreated",
    "TaskInfo",
    "TaskRequest",
    "Transport",
    "TransportFailure",
    "Unset",
    "UploadOptions",
    "Urllib3Transport",
    "WrittenCount",
    "add_to_manifest",
    "annotations_from_json",
    "assign_jobs",
    "check_frames",
    "check_server_files",
    "count_jobs",
    "create_project",
    "create_task",
    "create_task_with_pictures",
    "delete_task",
    "download_original",
    "download_originals",
    "export_dataset",
    "find_jobs",
    "find_members",
    "find_project",
    "find_projects",
    "find_storage",
    "find_storages",
    "find_tasks",
    "forget_frame",
    "get_task",
    "has_come_to",
    "list_jobs",
    "list_tasks",
    "manifest_text",
    "moment",
    "normal_name",
    "organization_slug",
    "read_frame_map",
    "read_frames_of_jobs",
    "read_images_xml",
    "read_job",
    "read_job_by_export",
    "read_job_frames",
    "read_labels",
    "read_manifest",
    "shape_from_json",
    "shape_to_json",
    "split_status",
    "upload_name",
    "validate",
    "validate_tag",
    "wait_for_request",
    "write_new",
]
