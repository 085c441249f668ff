"""Poses of a run into a CVAT project that is known by its name, and made when it is not there."""

from __future__ import annotations

import logging
from dataclasses import replace

from agir_cvtoolkit.config import PoseProposals, Settings
from agir_cvtoolkit.cvat import ProjectInfo, create_project, find_projects, read_labels
from agir_cvtoolkit.cvat.pose_labels import check_pose_labels, pose_labels
from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.runs import Run

from ._call import Call
from ._connect import Target, connect
from ._pose_candidates import schema_of
from ._push_result import UploadResult
from .upload_cvat import push_run

_log = logging.getLogger(__name__)


def push_pose_run(
    call: Call, settings: Settings, run: Run, *, task_name: str | None, project_name: str
) -> UploadResult:
    """Bring the poses of a run into CVAT, those first of which the model was least sure.

    Works as `upload_cvat` does, with all it promises: called again it adds nothing twice, and what people have
    touched stays as it is. Joints, style, box label and the least confidence are those of the group ``firebase``.

    Args:
        call: how the stage was called; its settings do not count.
        settings: with ``firebase`` and ``cvat_upload``; a ``cvat_upload.project_id`` goes before the name.
        run: its manifest's entries have a ``pose_path``.
        task_name: of the push; None takes the run's id.
        project_name: of the project; made with labels for the poses when there is none, in a dry run not.

    Raises:
        NoRunError: the run has no poses.
        LabelError: a project of that name has labels that do not take the poses.
        RemoteError: the server fails or refuses; a half-made task is removed.
    """
    wanted = pose_settings(settings, task_name)

    def find(known: Settings, writes: str | None) -> Target:
        target = connect(known, "cvat_upload", known.cvat_upload.project_id, writes=writes)
        if target.project is not None:
            return target
        return _by_name(target, known, run, project_name, make=writes is not None)

    return push_run(call, wanted, run, find)


def check_pose_target(settings: Settings, project_name: str, writes: str) -> None:
    """Find out before any work whether CVAT lets this account in, and whether the project there takes the poses.

    Args:
        settings: with ``firebase`` and ``cvat_upload``; a ``cvat_upload.project_id`` goes before the name.
        project_name: of the project; where there is none it is made later, with the right labels.
        writes: the command that is about to write.

    Raises:
        LabelError: the labels of the project do not take the poses; all that is wrong is named.
        ConfigError: no credentials, or an unknown pose schema.
        NotFoundError: the project of that id does not exist.
        RemoteError: the server fails or refuses.
    """
    target = connect(settings, "cvat_upload", settings.cvat_upload.project_id, writes=writes)
    labels = target.labels
    if labels is None:
        found = find_projects(target.session, name=project_name)
        if not found:
            return
        session = target.session.in_organization(found[0].organization)
        labels = read_labels(session, project_id=found[0].id)
    pose = settings.firebase.pose
    check_pose_labels(labels, load_schema(pose.joints), pose.style, pose.box_label)


def pose_settings(settings: Settings, task_name: str | None) -> Settings:
    """Return settings with which ``upload-cvat`` pushes what the group ``firebase`` says of poses."""
    firebase = settings.firebase
    pose = PoseProposals(
        joints=firebase.pose.joints,
        style=firebase.pose.style,
        box_label=firebase.pose.box_label,
        min_confidence=firebase.min_confidence,
    )
    source = settings.cvat_upload.source.model_copy(update={"type": "keypoints"})
    changed: dict[str, object] = {"source": source, "pose": pose}
    if task_name is not None:
        changed["task_name"] = task_name
    upload = settings.cvat_upload.model_copy(update=changed)
    return settings.model_copy(update={"cvat_upload": upload})


def _by_name(target: Target, settings: Settings, run: Run, name: str, *, make: bool) -> Target:
    found = find_projects(target.session, name=name)
    if not found and not make:
        return target
    project = found[0] if found else _made(target, settings, run, name)
    if len(found) > 1:
        _log.warning(
            "%d projects are called '%s': project %d, the oldest, is taken; say cvat_upload.project_id for another",
            len(found),
            name,
            project.id,
        )
    session = target.session.in_organization(project.organization)
    return replace(
        target, session=session, project=project, labels=read_labels(session, project_id=project.id)
    )


def _made(target: Target, settings: Settings, run: Run, name: str) -> ProjectInfo:
    pose = settings.cvat_upload.pose
    labels = pose_labels(schema_of(run, pose), pose.style, pose.box_label)
    made = create_project(target.session, name, labels)
    # Another worker may have made it at the same time: both take the older one, and the other goes while it is empty.
    oldest = find_projects(target.session, name=name)[0]
    if oldest.id != made.id:
        target.session.request("DELETE", f"/api/projects/{made.id}", f"delete the second project '{name}'")
        return oldest
    _log.info("made project %d '%s' with %d labels", made.id, name, len(labels))
    return made
