"""``agir-cvtoolkit upload-cvat``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._shell import Shell, echo_items, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.upload_cvat import UploadResult


@click.command("upload-cvat")
@with_options
def command(shell: Shell) -> None:
    """Make CVAT tasks of the run's records, with masks or boxes as pre-annotations.

    \b
    agir-cvtoolkit upload-cvat -o cvat_upload.project_id=12345
    agir-cvtoolkit upload-cvat -o cvat_upload.task_name="Round1_Barley"
    agir-cvtoolkit upload-cvat -o cvat_upload.source.type=detections
    """

    def stage(call: Call) -> UploadResult:
        from agir_cvtoolkit.stages.upload_cvat import upload_cvat

        return upload_cvat(call)

    shell.run(stage, _show)


def _show(result: UploadResult) -> None:
    fresh = result.uploaded_annotations - result.already_there
    rest = f"{result.skipped} skipped, {result.failed} failed"
    where = f"project {result.project_id}" if result.project_id else "a task without project"
    if result.dry_run:
        click.echo(f"Would upload {fresh} of {result.total_records} records, {rest}")
        click.echo(
            f"To {result.server}, {where}, as '{result.name}'; {result.already_there} are there already"
        )
    elif result.already_there and not fresh:
        click.echo(
            f"{result.already_there} of {result.total_records} records are there already, {rest};"
            " nothing was changed on the server"
        )
    else:
        there = f" ({result.already_there} were there already)" if result.already_there else ""
        click.echo(f"Uploaded {result.uploaded_annotations} of {result.total_records} records{there}, {rest}")
    echo_items(result.items)
    if result.missing_labels and result.project_id is None:
        listed = ",".join(result.missing_labels)
        click.echo(f"Labels of a task without project: -o 'cvat_upload.labels=[{listed}]'", err=True)
    for task in result.tasks:
        click.echo(f"Task URL: {task.task_url}")
