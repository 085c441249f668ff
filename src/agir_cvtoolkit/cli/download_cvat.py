"""``agir-cvtoolkit download-cvat``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._shell import Shell, echo_items, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.download_cvat import DownloadResult


@click.command("download-cvat")
@with_options
def command(shell: Shell) -> None:
    """Bring finished jobs back as shapes and masks.

    \b
    agir-cvtoolkit download-cvat
    agir-cvtoolkit download-cvat -o cvat_download.project_id=12345 -o cvat_download.required_status=completed
    """

    def stage(call: Call) -> DownloadResult:
        from agir_cvtoolkit.stages.download_cvat import download_cvat

        return download_cvat(call)

    shell.run(stage, _show)


def _show(result: DownloadResult) -> None:
    verb = "would be read" if result.dry_run else "finished"
    click.echo(f"{result.jobs} jobs {verb} in {result.tasks_found} tasks, {result.waiting} not yet", nl=False)
    click.echo(
        "" if result.dry_run else f"; {result.jobs_read} read, {result.jobs - result.jobs_read} unchanged"
    )
    for task in result.tasks:
        click.echo(
            f"  {task.url}: {task.frames} frames, {task.shapes} shapes, {task.negatives} empty"
            f" -> {task.directory}"
        )
        if task.reopened:
            numbers = ", ".join(str(job) for job in task.reopened)
            click.echo(f"    reopened since they were read, kept as they were finished: jobs {numbers}")
    echo_items(result.items)
    if not result.jobs:
        status = result.required_status or "any"
        click.echo(
            f"No job is '{status}' yet. Complete the jobs in CVAT, or set cvat_download.required_status=null."
        )
