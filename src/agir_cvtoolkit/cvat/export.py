"""Exports: asked for, waited for, downloaded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from agir_cvtoolkit.errors import DataError, FrameMapError, NotFoundError, RefusedError, ServerFaultError
from agir_cvtoolkit.runs import atomic_path
from agir_cvtoolkit.shapes import Mask, Shape, Tag

from .annotations import read_job
from .background import cancel_request, wait_for_request, wait_until
from .failures import UNCERTAIN
from .frames import FrameMap
from .job_content import JobAnnotations
from .jobs import JobInfo
from .overlaps import order_matters
from .session import CvatSession, parsed
from .xml_shapes import ExportedImage, read_images_xml

IMAGES_FORMAT = "CVAT for images 1.1"
_NO_SUCH_WAY = frozenset({404, 405, 410})


def export_dataset(
    session: CvatSession,
    of: Literal["tasks", "jobs", "projects"],
    resource_id: int,
    path: Path,
    *,
    dataset_format: str = IMAGES_FORMAT,
    save_images: bool = False,
    deadline_s: float = 3600.0,
) -> Path:
    """Export a task, job or project and put the archive at `path`; the file appears whole or not at all.

    An export that is under way already is joined; one that the server has forgotten is asked for again.

    Args:
        session: where it lies.
        of: what is exported.
        resource_id: of the task, job or project.
        path: of the archive.
        dataset_format: as the server names it.
        save_images: with the pictures.
        deadline_s: longest time that the server may take.

    Raises:
        NotFoundError: there is no such thing.
        RefusedError: an unknown format, or the export failed (the server says why).
        DeadlineError: it was not ready in time.
        ServerFaultError: what was sent is no archive.
    """
    subject = f"export {of.removesuffix('s')} {resource_id} as '{dataset_format}'"
    what = _Export(session, of, resource_id, dataset_format, save_images, subject, deadline_s)
    with atomic_path(path) as part:
        try:
            _by_request(what, part)
        except (NotFoundError, RefusedError) as error:
            if error.status not in _NO_SUCH_WAY or not session.capabilities.old_export:
                raise
            _old_way(what, part)
        _check_archive(part, subject)
    return path


def _check_archive(path: Path, subject: str) -> None:
    with path.open("rb") as stream:
        start = stream.read(2)
    if start != b"PK":
        what = "a page" if start.lstrip()[:1] == b"<" else "something else"
        raise ServerFaultError(
            f"The server sent {what} in place of an archive, could not {subject}",
            "A proxy may stand between; run the same command again.",
        )


def read_job_by_export(session: CvatSession, job: JobInfo, frames: FrameMap) -> JobAnnotations:
    """Read a job by its export, which carries the same bits as the JSON and is faster where masks are large.

    What the export would change is read as JSON after all: it rounds coordinates to 1/100 pixel and draws out
    tracks, so a job with anything but masks and tags; it does not say which of two shapes is the older one,
    so a job in which masks of two labels overlap at one z-order. Scores of newer servers are not in the export.

    Raises:
        FrameMapError: an image of the export is not the frame that the map says.
        DataError: the export cannot be read.
        RemoteError: of its kinds.
    """
    with tempfile.TemporaryDirectory(prefix="agir-export-") as folder:
        archive = export_dataset(session, "jobs", job.id, Path(folder) / "export.zip")
        exact = True
        shapes: dict[int, tuple[Shape, ...]] = {}
        tags: dict[int, tuple[Tag, ...]] = {}
        for image in _images(archive, job):
            entry = frames.by_frame.get(image.frame)
            if entry is None or entry.name != image.name:
                raise FrameMapError(
                    f"The export of job {job.id} calls frame {image.frame} '{image.name}', its task does not",
                    "Read the job as JSON instead.",
                )
            if image.shapes:
                shapes[image.frame] = image.shapes
            if image.tags:
                tags[image.frame] = image.tags
            if image.skipped or any(not isinstance(shape, Mask) for shape in image.shapes):
                exact = False
                break
    if not exact or any(order_matters(found) for found in shapes.values()):
        return read_job(session, job.id)
    return JobAnnotations(job.id, shapes, tags)


def _images(archive: Path, job: JobInfo) -> Iterator[ExportedImage]:
    """Yield the images of a job's export; what is wrong with it is said of the job, not of a temporary file."""
    try:
        yield from read_images_xml(archive)
    except DataError as error:
        problem = error.problem.replace(str(archive), f"The export of job {job.id}")
        raise DataError(problem, error.next_step) from error


@dataclass(frozen=True)
class _Export:
    session: CvatSession
    of: str
    resource_id: int
    dataset_format: str
    save_images: bool
    subject: str
    deadline_s: float


def _by_request(what: _Export, part: Path) -> None:
    params = {"format": what.dataset_format, "save_images": "True" if what.save_images else "False"}
    for _ in range(2):
        path = f"/api/{what.of}/{what.resource_id}/dataset/export"
        request_id = begin_export(what.session, path, what.subject, params)
        try:
            outcome = wait_for_request(what.session, request_id, what.subject, what.deadline_s)
        except KeyboardInterrupt:
            cancel_request(what.session, request_id)
            raise
        if outcome.status == "finished" and outcome.result_url:
            try:
                fetch_result(what.session, outcome.result_url, what.subject, part)
            except NotFoundError:
                continue  # the result has expired since: it is asked for anew
            return
    raise ServerFaultError(
        f"The server named no result, could not {what.subject}", "Run the same command again."
    )


def _old_way(what: _Export, part: Path) -> None:
    """Ask for an export as before 2.32: 202 while it is made, 201 once it is ready, 200 with the file."""
    path = f"/api/{what.of}/{what.resource_id}/{'dataset' if what.save_images else 'annotations'}"
    params = {"format": what.dataset_format}

    def ready() -> bool | None:
        response = what.session.request("GET", path, what.subject, params=params)
        return None if response.status == 202 else True

    wait_until(what.session, ready, what.subject, what.deadline_s)

    def taken() -> bool | None:
        # An archive that has expired meanwhile is made anew, and 202 again.
        response = what.session.request(
            "GET",
            path,
            what.subject,
            params=params | {"action": "download"},
            to_file=part,
            timeout=600.0,
            headers={"Accept": "*/*"},
        )
        return True if response.status == 200 and part.is_file() else None

    wait_until(what.session, taken, what.subject, what.deadline_s)


def begin_export(session: CvatSession, path: str, subject: str, params: Mapping[str, object]) -> str:
    """Ask for an export, and return the id of the request that makes it."""
    attempt = 0
    while True:
        attempt += 1
        try:
            # A second request for the same export joins the first (409), so this POST may be repeated.
            response = session.request(
                "POST", path, subject, params=params, body=b"", accept_status=frozenset({409})
            )
            break
        except UNCERTAIN:
            if attempt >= session.policy.attempts:
                raise
            session.clock.sleep(session.policy.wait(attempt))
    answer: Any = parsed(response, subject)
    found = answer.get("rq_id") if isinstance(answer, dict) else None
    if not isinstance(found, str):
        raise ServerFaultError(
            f"The server named no request, could not {subject}", "Run the same command again."
        )
    return found


def fetch_result(session: CvatSession, result_url: str, subject: str, path: Path) -> None:
    """Download what an export has made."""
    parts = urlsplit(result_url)
    at = parts.path.find("/api/")
    if at < 0:
        session.download_foreign(result_url, subject, path)
        return
    # Behind a proxy the server may name itself by a scheme or host that is not reachable from here.
    session.request(
        "GET",
        parts.path[at:],
        subject,
        params=dict(parse_qsl(parts.query)),
        to_file=path,
        timeout=600.0,
        headers={"Accept": "*/*"},
    )
