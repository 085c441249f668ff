"""The server's own export of finished jobs, where ``cvat_download.dataset_format`` asks for one."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from agir_cvtoolkit.cvat import export_dataset
from agir_cvtoolkit.cvat.archives import unpack
from agir_cvtoolkit.errors import DataError, NotFoundError, RefusedError
from agir_cvtoolkit.progress import Progress
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.runs import read_json_object, write_json

from ._pull_context import PullContext
from ._pull_plan import TaskJobs
from ._pulled import folders

FOLDER = "exports"
_log = logging.getLogger(__name__)


def fetch_exports(context: PullContext, tasks: Sequence[TaskJobs], progress: Progress) -> list[Item]:
    """Bring the export of each finished job into ``exports/<format>/job_<id>/`` of its task's folder.

    The archive is unpacked without trust. A job that has not changed since it was exported in this format is left
    alone.

    Args:
        context: with the format, as the server names it.
        tasks: with their finished jobs.
        progress: one step per job.

    Returns:
        The jobs that could not be exported.

    Raises:
        RemoteError: the server fails.
    """
    download = context.settings.cvat_download
    if download.dataset_format is None:
        return []
    items: list[Item] = []
    stored = folders(context.run)
    jobs = [(task, job) for task in tasks for job in task.finished if task.task.id in stored]
    name = re.sub(r"[^\w.-]+", "_", download.dataset_format)[:80]
    with progress.bar("Exporting", len(jobs)) as bar:
        for task, job in jobs:
            bar.advance()
            place = stored[task.task.id] / FOLDER / name
            known, mark = place / f"job_{job.id}", place / f"job_{job.id}.json"
            of = {"updated_date": job.updated_date, "with_images": download.include_images}
            if known.is_dir() and read_json_object(mark) == of and not download.overwrite_existing:
                continue
            archive = place / f"job_{job.id}.zip"
            try:
                export_dataset(
                    context.session,
                    "jobs",
                    job.id,
                    archive,
                    dataset_format=download.dataset_format,
                    save_images=download.include_images,
                )
                unpack(archive, known)
                write_json(mark, of)
            except (DataError, RefusedError, NotFoundError) as error:
                _log.warning("job %d is not exported: %s", job.id, error)
                items.append(Item(f"{task.task.name}, job {job.id}", "failed", f"its export: {error}"))
            finally:
                archive.unlink(missing_ok=True)
    return items
