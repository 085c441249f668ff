"""Which path is answered by what."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import Response

from . import (
    access,
    events,
    export_requests,
    imports,
    jobs,
    labels,
    media,
    organizations,
    page_files,
    projects,
    reviews,
    storages,
    tasks,
    tokens,
    uploads,
    validation,
    webhooks,
    workers,
)
from .annotations import delete_annotations, patch_annotations, put_annotations, show_annotations
from .answers import reply
from .calls import Call

Handler = Callable[[Call], Response]
Taker = Callable[[Call, AsyncIterator[bytes]], Awaitable[Response]]


@dataclass(frozen=True)
class Route:
    """One path.

    Attributes:
        handlers: what answers, by method, with the body read.
        takers: what answers and reads the body itself, piece by piece.
        anonymous: needs no account.
    """

    pattern: re.Pattern[str]
    handlers: dict[str, Handler]
    takers: dict[str, Taker]
    anonymous: bool = False


def show_about(call: Call) -> Response:
    """Answer ``GET /api/server/about``."""
    about = {
        "name": "Computer Vision Annotation Tool",
        "description": "An embedded server that answers like CVAT.",
        "version": call.world.options.version,
    }
    if call.generation.about_pictures:
        about |= {"logo_url": f"{call.origin}/static/logo.svg", "subtitle": "Sandbox"}
    return reply(about)


def show_plugins(call: Call) -> Response:
    """Answer ``GET /api/server/plugins``."""
    analytics = call.world.options.event_log
    return reply({"GIT_INTEGRATION": False, "ANALYTICS": analytics, "MODELS": False, "PREDICT": False})


def _route(
    pattern: str, *, anonymous: bool = False, takers: dict[str, Taker] | None = None, **handlers: Handler
) -> Route:
    regex = re.compile(pattern.replace("ID", r"(\d{1,18})") + r"\Z")
    return Route(regex, handlers, takers or {}, anonymous)


ROUTES = (
    _route("/?", anonymous=True, GET=page_files.show_page),
    _route("/tasks/ID", anonymous=True, GET=page_files.show_page),
    _route("/tasks/ID/jobs/ID", anonymous=True, GET=page_files.show_page),
    _route("/page/(.+)", anonymous=True, GET=page_files.show_page_file),
    _route("/api/server/about", anonymous=True, GET=show_about),
    _route("/api/server/plugins", GET=show_plugins),
    _route("/api/server/annotation/formats", GET=export_requests.show_formats),
    _route("/api/auth/login", anonymous=True, POST=access.log_in),
    _route("/api/auth/logout", anonymous=True, POST=access.log_out),
    _route("/api/auth/access_tokens", GET=tokens.list_tokens, POST=tokens.create_token),
    _route("/api/auth/access_tokens/self", GET=tokens.show_own_token),
    _route(
        "/api/auth/access_tokens/ID",
        GET=tokens.show_token,
        PATCH=tokens.patch_token,
        DELETE=tokens.remove_token,
    ),
    _route("/api/users/self", GET=organizations.show_self),
    _route("/api/users", GET=organizations.list_users),
    _route("/api/users/ID", GET=organizations.show_user),
    _route(
        "/api/organizations", GET=organizations.list_organizations, POST=organizations.create_organization
    ),
    _route(
        "/api/organizations/ID", GET=organizations.show_organization, DELETE=organizations.remove_organization
    ),
    _route("/api/memberships", GET=organizations.list_memberships),
    _route("/api/memberships/ID", GET=organizations.show_membership),
    _route("/api/invitations", GET=organizations.list_nothing),
    _route("/api/issues", GET=reviews.list_issues, POST=reviews.create_issue),
    _route("/api/issues/ID", GET=reviews.show_issue, PATCH=reviews.patch_issue, DELETE=reviews.remove_issue),
    _route("/api/comments", GET=reviews.list_comments, POST=reviews.create_comment),
    _route("/api/comments/ID", GET=reviews.show_comment, DELETE=reviews.remove_comment),
    _route("/api/webhooks", GET=webhooks.list_webhooks, POST=webhooks.create_webhook),
    _route(
        "/api/webhooks/ID",
        GET=webhooks.show_webhook,
        PATCH=webhooks.patch_webhook,
        DELETE=webhooks.remove_webhook,
    ),
    _route("/api/webhooks/ID/ping", POST=webhooks.ping),
    _route("/api/webhooks/ID/deliveries", GET=webhooks.list_deliveries),
    _route("/api/server/share", GET=storages.show_share),
    _route("/api/cloudstorages", GET=storages.list_storages, POST=storages.create_storage),
    _route("/api/cloudstorages/ID", GET=storages.show_storage, DELETE=storages.remove_storage),
    _route("/api/cloudstorages/ID/content-v2", GET=storages.show_content),
    _route("/api/cloudstorages/ID/status", GET=storages.show_status),
    _route("/api/cloudstorages/ID/actions", GET=storages.show_actions),
    _route("/api/projects", GET=projects.list_projects, POST=projects.create_project),
    _route(
        "/api/projects/ID",
        GET=projects.show_project,
        PATCH=projects.patch_project,
        DELETE=projects.remove_project,
    ),
    _route("/api/projects/ID/preview", GET=media.show_preview),
    _route("/api/labels", GET=labels.list_labels),
    _route("/api/labels/ID", GET=labels.show_label, PATCH=labels.patch_label, DELETE=labels.remove_label),
    _route("/api/tasks", GET=tasks.list_tasks, POST=tasks.create_task),
    _route("/api/tasks/ID", GET=tasks.show_task, PATCH=tasks.patch_task, DELETE=tasks.remove_task),
    _route("/api/tasks/ID/data/?", takers={"POST": uploads.post_data}, GET=media.show_data),
    _route("/api/tasks/ID/data/meta", GET=media.show_task_meta, PATCH=media.patch_meta),
    _route(
        "/api/tasks/ID/data/([0-9a-f]{32})/?",
        takers={"PATCH": uploads.patch_upload},
        HEAD=uploads.show_upload,
    ),
    _route("/api/tasks/ID/preview", GET=media.show_preview),
    _route("/api/tasks/ID/status", GET=workers.show_creation),
    _route(
        "/api/tasks/ID/validation_layout",
        GET=validation.show_task_layout,
        PATCH=validation.patch_task_layout,
    ),
    _route("/api/jobs", GET=jobs.list_jobs, POST=validation.create_job),
    _route("/api/jobs/ID", GET=jobs.show_job, PATCH=jobs.patch_job, DELETE=jobs.remove_job),
    _route("/api/jobs/ID/validation_layout", GET=validation.show_job_layout),
    _route("/api/jobs/ID/data", GET=media.show_data),
    _route("/api/jobs/ID/data/meta", GET=media.show_job_meta, PATCH=media.patch_meta),
    _route("/api/jobs/ID/preview", GET=media.show_preview),
    _route(
        "/api/(?:tasks|jobs)/ID/annotations/?",
        takers={"POST": imports.post_annotations},
        GET=show_annotations,
        PUT=put_annotations,
        PATCH=patch_annotations,
        DELETE=delete_annotations,
    ),
    _route(
        "/api/(?:tasks|jobs)/ID/annotations/([0-9a-f]{32})/?",
        takers={"PATCH": uploads.patch_upload},
        HEAD=uploads.show_upload,
    ),
    _route("/api/(?:projects|tasks|jobs)/ID/dataset/export", POST=export_requests.start_export),
    _route("/api/(?:projects|tasks|jobs)/ID/dataset/download", GET=workers.download),
    _route("/api/(?:projects|tasks|jobs)/ID/dataset/?", GET=export_requests.export_by_get),
    _route("/api/(?:projects|tasks)/ID/backup/?", GET=export_requests.gone),
    _route("/api/projects/ID/annotations/?", GET=export_requests.export_by_get),
    _route("/api/events/?", POST=events.record_events, GET=events.export_by_get),
    _route("/api/events/export", POST=events.start_export),
    _route("/api/events/download", GET=workers.download),
    _route("/api/requests", GET=workers.list_requests),
    _route("/api/requests/([^/]+)/cancel", POST=workers.cancel_request),
    _route("/api/requests/([^/]+)", GET=workers.show_request),
)
