"""``agir-cvtoolkit upload-cvat``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, echo_items, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.upload_cvat import UploadResult

SHOWN = 5


@click.command("upload-cvat")
@with_options
def command(shell: Shell) -> None:
    """Make CVAT tasks of the run's records, with masks, boxes or key points as pre-annotations.

    \b
    agir-cvtoolkit upload-cvat -o cvat_upload.project_id=12345
    agir-cvtoolkit upload-cvat -o cvat_upload.task_name="Round1_Barley"
    agir-cvtoolkit upload-cvat -o cvat_upload.source.type=detections
    agir-cvtoolkit upload-cvat -o cvat_upload.pose.style=skeleton
    """

    def stage(call: Call) -> UploadResult:
        from agir_cvtoolkit.stages.upload_cvat import upload_cvat

        return upload_cvat(call)

    shell.run(stage, _show)


def _show(result: UploadResult) -> None:
    rest = f"{result.skipped} skipped, {result.failed} failed"
    where = f"project {result.project_id}" if result.project_id else "a task without project"
    if result.dry_run:
        replaced = f", replace the proposals of {result.replaced}" if result.replaced else ""
        click.echo(
            f"Would upload {result.added} of {counted(result.total_records, 'record')}{replaced}, {rest}"
        )
        click.echo(
            f"To {result.server}, {where}, as '{result.name}'; {result.already_there} are there already"
        )
    elif result.already_there and not (result.added or result.replaced):
        click.echo(
            f"{result.already_there} of {counted(result.total_records, 'record is', 'records are')} there already,"
            f" {rest}; nothing was changed on the server"
        )
    else:
        there = f" ({result.already_there} were there already)" if result.already_there else ""
        click.echo(
            f"Uploaded {result.uploaded_annotations} of {counted(result.total_records, 'record')}{there}, {rest}"
        )
        if result.replaced:
            click.echo(f"Of these, {result.replaced} got new proposals in place of untouched earlier ones")
    _show_same_pictures(result)
    if result.left_alone:
        stay = counted(result.left_alone, "record stays as it is", "records stay as they are")
        click.echo(f"{stay} in CVAT, listed with the reason", err=True)
    echo_items(result.items)
    if result.missing_labels and result.project_id is None:
        listed = ",".join(result.missing_labels)
        click.echo(f"Labels of a task without project: -o 'cvat_upload.labels=[{listed}]'", err=True)
    for task in result.tasks:
        click.echo(f"Task URL: {task.task_url}")


def _show_same_pictures(result: UploadResult) -> None:
    if not result.same_pictures:
        return
    single = len(result.same_pictures) == 1
    verb = "would not be sent" if result.dry_run else "was not sent" if single else "were not sent"
    there = "it is" if single else "they are"
    click.echo(f"{counted(len(result.same_pictures), 'picture')} {verb}: {there} there as another record's")
    for one in result.same_pictures[:SHOWN]:
        click.echo(f"  {one.record_id} is {one.picture_of}")
    if len(result.same_pictures) > SHOWN:
        click.echo(f"  ... and {len(result.same_pictures) - SHOWN} more; all are in metrics.json")
