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
    if result.dry_run:
        fresh = result.uploaded_annotations - result.already_there
        click.echo(f"Would upload {fresh} of {result.total_records} records", nl=False)
    else:
        click.echo(f"Uploaded {result.uploaded_annotations} of {result.total_records} records", nl=False)
    click.echo(f", {result.skipped} skipped, {result.failed} failed")
    if result.already_there:
        changed = (
            ""
            if result.uploaded_annotations > result.already_there
            else "; nothing was changed on the server"
        )
        click.echo(f"{result.already_there} of them were there already{changed}")
    echo_items(result.items)
    for task in result.tasks:
        click.echo(f"Task URL: {task.task_url}")
