"""``agir-cvtoolkit download-cvat``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._counted import counted
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
    agir-cvtoolkit download-cvat -o cvat_download.required_stage=acceptance
    agir-cvtoolkit download-cvat -o cvat_download.job_types=[annotation,ground_truth]
    """

    def stage(call: Call) -> DownloadResult:
        from agir_cvtoolkit.stages.download_cvat import download_cvat

        return download_cvat(call)

    shell.run(stage, _show)


def _show(result: DownloadResult) -> None:
    from agir_cvtoolkit.stages._correction_line import corrections_line

    verb = "would be read" if result.dry_run else "finished"
    click.echo(
        f"{counted(result.jobs, 'job')} {verb} in {counted(result.tasks_found, 'task')}, {result.waiting} not yet",
        nl=False,
    )
    click.echo(
        "" if result.dry_run else f"; {result.jobs_read} read, {result.jobs - result.jobs_read} unchanged"
    )
    for task in result.tasks:
        click.echo(
            f"  {task.url}: {counted(task.frames, 'frame')}, {counted(task.shapes, 'shape')}, {task.negatives} empty"
            f" -> {task.directory}"
        )
        if task.reopened:
            numbers = ", ".join(str(job) for job in task.reopened)
            click.echo(f"    reopened since they were read, kept as they were finished: jobs {numbers}")
        if task.apart:
            numbers = ", ".join(str(job) for job in task.apart)
            click.echo(f"    stored apart, never trained on: jobs {numbers}")
    if result.corrections is not None:
        click.echo(f"  {corrections_line(result.corrections)}")
    if result.frames_not_in_mask:
        kinds = ", ".join(sorted({kind for task in result.tasks for kind in task.kinds_not_in_mask}))
        click.echo(
            f"{counted(result.frames_not_in_mask, 'frame holds', 'frames hold')} shapes that a mask cannot show"
            f" ({kinds}); they are in annotations/",
            err=True,
        )
    if result.not_completed:
        would = "would count" if result.dry_run else "count"
        be = "is" if result.not_completed == 1 else "are"
        click.echo(
            f"{result.not_completed} of {counted(result.jobs, 'job')} {be} not completed:"
            f" proposals that nobody has opened {would} as accepted, and preprocess would train on them",
            err=True,
        )
    echo_items(result.items)
    if not result.jobs:
        wanted = " and ".join(f"'{word}'" for word in (result.required_status, result.required_stage) if word)
        click.echo(
            f"No job is {wanted or 'there'} yet. Complete the jobs in CVAT, or set "
            f"cvat_download.required_{'stage' if result.required_stage else 'status'}=null."
        )
