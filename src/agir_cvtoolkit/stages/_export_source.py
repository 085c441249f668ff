"""What is exported: of a run, or brought from the server for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.cvat import find_projects
from agir_cvtoolkit.errors import NoRunError, NotFoundError, UsageError, did_you_mean
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.runs import Run, fingerprint, list_runs, open_run, start_run

from ._call import Call
from ._connect import connect
from ._pulled import PulledTask, read_frame_maps
from ._unfinished import is_unfinished
from .download_cvat import download_cvat

_LONGEST = 60
"""Letters of the name of a run that is brought for an export."""


@dataclass(frozen=True)
class Chosen:
    """Pulled tasks of a run.

    Attributes:
        left_out: ids of jobs of which nothing is taken.
        items: what could not be brought from the server.
    """

    run: Run
    tasks: tuple[PulledTask, ...]
    left_out: frozenset[int]
    items: tuple[Item, ...] = ()


def choose(
    call: Call, settings: Settings, task_ids: tuple[int, ...], project: str | int | None, *, unfinished: bool
) -> Chosen:
    """Choose the pulled tasks of a run; tasks and projects that it lacks are brought from the server.

    What is brought lies in a run of its own, ``export/...``, which each call brings up to date; the current run stays
    what it is. With ``--run`` only what lies in that run is taken.

    Args:
        call: options of every command.
        settings: with ``cvat_download``.
        task_ids: on the server; none: all of the run.
        project: its number or name.
        unfinished: take jobs, too, that nobody has completed.

    Raises:
        NoRunError: there is nothing to choose from.
        NotFoundError: the server has no such task or project.
        UsageError: several projects have the name.
        RemoteError: the server fails.
    """
    run = _run(call, settings)
    number = _number(settings, project) if isinstance(project, str) else project
    if run is not None:
        tasks = tuple(read_frame_maps(run, task_ids or None))
        missing = set(task_ids) - {task.task_id for task in tasks}
        of_project = _of_project(settings, tasks, number)
        if not missing and (of_project or number is None):
            return _without_unfinished(settings, Chosen(run, of_project, frozenset()), unfinished=unfinished)
        if call.run is not None and missing:
            raise NoRunError(
                f"task {min(missing)} was not pulled into run {run.run_id}",
                f"Bring it: agir-cvtoolkit download-cvat -o cvat_download.task_ids=[{min(missing)}]",
            )
        if call.run is not None:
            raise NoRunError(
                f"no task of project {number} was pulled into run {run.run_id}",
                "Leave out --run: then the project is brought from the server.",
            )
    chosen = _brought(call, settings, task_ids, number, unfinished=unfinished)
    return _without_unfinished(settings, chosen, unfinished=unfinished)


def _run(call: Call, settings: Settings) -> Run | None:
    try:
        return call.open_run(settings)
    except NoRunError:
        if call.run is not None:
            raise
        return None


def _number(settings: Settings, project: str) -> int:
    """Return the number of a project given by it or by its name."""
    if project.isdecimal():
        return int(project)
    session = connect(settings, "cvat_download", None).session
    found = find_projects(session, name=project)
    if not found:
        names = [str(item.get("name")) for item in session.pages("/api/projects", "list the projects")]
        near = did_you_mean(project, names)
        raise NotFoundError(
            f"there is no project '{project}' on {session.url}",
            f"{near} The account sees {', '.join(sorted(names)[:20]) or 'none'}.".strip(),
            status=404,
        )
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} projects are called '{project}'",
            f"Name one by its number: {', '.join(str(one.id) for one in found)}",
        )
    return found[0].id


def _brought(
    call: Call, settings: Settings, task_ids: tuple[int, ...], project: int | None, *, unfinished: bool
) -> Chosen:
    if not task_ids and project is None:
        raise NoRunError(
            "there is no run, and nothing is named that the server has",
            "Name it: --task-id 12 or --project NAME",
        )
    name = f"project_{project}" if not task_ids else "_".join(("task", *map(str, sorted(set(task_ids)))))
    name = name if len(name) < _LONGEST else f"tasks_{fingerprint('tasks', sorted(set(task_ids)))[:16]}"
    out_root = Path(settings.io.out_root)
    run_id = f"export/{name}"
    what = f"project {project}" if not task_ids else f"task {', '.join(map(str, sorted(set(task_ids))))}"
    if call.dry_run and run_id not in list_runs(out_root):
        raise NoRunError(f"{what} was not brought from the server yet", "Without --dry-run it will be.")
    run = (
        open_run(out_root, run_id) if call.dry_run else start_run(out_root, *run_id.split("/"), current=False)
    )
    asked = [f"cvat_download.task_ids=[{','.join(map(str, task_ids))}]"] if task_ids else []
    if project is not None and not task_ids:
        asked += ["cvat_download.task_ids=null", f"cvat_download.project_id={project}"]
    if unfinished:
        asked.append("cvat_download.required_status=null")
    done = download_cvat(replace(call, run=run_id, overrides=(*call.overrides, *asked)))
    tasks = tuple(read_frame_maps(run, task_ids or None))
    if not tasks:
        waiting = f"; {done.waiting} of its jobs are not completed" if done.waiting else ""
        raise NoRunError(
            f"{what} has no finished work that could be exported{waiting}",
            "Complete its jobs in CVAT, or take them as they are: --unfinished",
        )
    return Chosen(run, tasks, frozenset(), done.items)


def _of_project(
    settings: Settings, tasks: Sequence[PulledTask], project: int | None
) -> tuple[PulledTask, ...]:
    """Return the tasks that were pushed to a project from this workspace; all where none is named."""
    if project is None:
        return tuple(tasks)
    with Ledger.open_to_read(settings.io.ledger_url, Path(settings.io.out_root)) as ledger:
        projects = {push_id: key.project_id for push_id, key, _ in ledger.pushes()}
        pushed = [ledger.task_by_id(task.url.rpartition("/tasks/")[0], task.task_id) for task in tasks]
    return tuple(
        task
        for task, known in zip(tasks, pushed, strict=True)
        if known is not None and projects.get(known.push_id) == project
    )


def _without_unfinished(settings: Settings, chosen: Chosen, *, unfinished: bool) -> Chosen:
    """Leave out the jobs that nobody has completed."""
    if unfinished:
        return chosen
    left_out: set[int] = set()
    with Ledger.open_to_read(settings.io.ledger_url, Path(settings.io.out_root)) as ledger:
        for task in chosen.tasks:
            server = task.url.rpartition("/tasks/")[0]
            pulls = ledger.last_pulls(server, chosen.run.run_id, {frame.job_id for frame in task.frames})
            left_out |= {job_id for job_id, pull in pulls.items() if is_unfinished(pull.state, pull.stage)}
    return replace(chosen, left_out=frozenset(left_out))
