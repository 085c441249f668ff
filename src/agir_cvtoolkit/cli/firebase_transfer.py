"""``agir-cvtoolkit firebase transfer``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ._counted import counted
from ._shell import Shell, echo_items, harmless, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.firebase_transfer import TransferResult


@click.command("transfer")
@click.option(
    "--service-account", metavar="FILE", help="Key of Google Cloud; else GOOGLE_APPLICATION_CREDENTIALS."
)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Pictures, at most.")
@click.option(
    "--priority", type=click.IntRange(1, 10), default=5, show_default=True, help="Lowest priority, 1 to 10."
)
@click.option(
    "--look-at",
    type=click.IntRange(min=2),
    help="Look at so many that wait and bring the --limit best, by the model in service.  [default: the first ones]",
)
@click.option("--output-dir", metavar="DIR", help="Where the pictures go.  [default: /data/cvat-annotations]")
@click.option(
    "--gpusrv-host", metavar="HOST", help="Where CVAT answers.  [default: gpusrv.tailfdc654.ts.net]"
)
@click.option(
    "--dataset-name", metavar="NAME", help="Of the CVAT task.  [default: pose_estimation_<YYYYMMDD_HHMM>]"
)
@click.option(
    "--create-task/--no-create-task",
    default=None,
    help="Make a CVAT task.  [default: where credentials for CVAT are configured]",
)
@click.option(
    "--deliver", type=click.Choice(["none", "rsync"]), help="rsync sends the files to --gpusrv-host."
)
@click.option(
    "--strip-metadata/--keep-metadata",
    default=None,
    help="Remove place, owner and serial numbers from the pictures.  [default: remove]",
)
@click.option("--bucket", metavar="NAME", help="Of Cloud Storage.")
@click.option(
    "--image-path",
    metavar="TEMPLATE",
    help="Of the pictures there.  [default: training_images/{pose_id}.jpg]",
)
@click.option("--database", metavar="ID", help="Of Firestore.  [default: (default)]")
@click.option("--watch", is_flag=True, help="Stay, and look again every firebase.poll_s seconds.")
@with_options
def command(shell: Shell, *, watch: bool, **options: Any) -> None:
    """Bring the most uncertain captures into a folder, and into CVAT with the device's key points.

    \b
    agir-cvtoolkit firebase transfer --service-account ~/.firebase/service-account.json --limit 25 --priority 7
    agir-cvtoolkit firebase transfer --limit 25 --look-at 100
    agir-cvtoolkit firebase transfer -o firebase.store=embedded --output-dir captures --no-create-task
    agir-cvtoolkit firebase transfer --watch
    """

    def stage(call: Call) -> TransferResult:
        from agir_cvtoolkit.stages.firebase_transfer import firebase_transfer

        if watch:
            return _watched(call, options, _shown_while_watching(shell))
        return firebase_transfer(call, **options)

    shell.run(stage, _show)


def _watched(call: Call, options: dict[str, Any], show: Any) -> TransferResult:
    from dataclasses import replace

    from agir_cvtoolkit.errors import AgirError, UsageError
    from agir_cvtoolkit.serving.stopping import StoppableProgress, stopping_on_signals
    from agir_cvtoolkit.serving.watch import watch
    from agir_cvtoolkit.stages.firebase_transfer import firebase_transfer

    if call.dry_run:
        raise UsageError("--watch and --dry-run exclude each other", "Leave one out.")
    last: list[TransferResult] = []
    with stopping_on_signals() as stop:
        stoppable = replace(call, progress=StoppableProgress(stop, call.progress))

        def step() -> bool:
            result = firebase_transfer(stoppable, **options, patient=True)
            if result.worked or not last:
                show(result)
            last[:] = [result]
            return result.worked

        def failed(error: AgirError, pause: float) -> None:
            click.echo(f"Failed, next try in {pause:g} s: {error}", err=True)

        watch(step, call.settings().firebase.poll_s, stop, failed=failed)
    if not last:
        raise UsageError("stopped before anything was done")
    return last[0]


def _shown_while_watching(shell: Shell) -> Any:
    return (lambda _: None) if shell.as_json or shell.quiet else _show


def _show(result: TransferResult) -> None:
    verb = "would be transferred" if result.dry_run else "transferred"
    rest = f", {result.failed} failed, {result.returned} back in the queue" if result.items else ""
    if result.late:
        rest += f", {result.late} still without a picture"
    if result.waiting:
        rest += f", {result.waiting} wait: is firebase.image_path right, and were their pictures sent?"
    if result.passed_over:
        rest += f", the best of {result.transferred + result.passed_over} looked at"
    if result.with_people:
        rest += f"; people are at {result.with_people} that were chosen before"
    again = f" ({result.resumed} of an interrupted run)" if result.resumed else ""
    click.echo(f"{counted(result.transferred, 'capture')} {verb} from {result.place}{again}{rest}")
    echo_items(result.items)
    if result.dry_run:
        for capture_id in result.captures[:20]:
            click.echo(harmless(f"  {capture_id}"))
    if not result.transferred:
        return
    click.echo(f"Pictures: {result.output_dir}")
    click.echo(f"Manifest: {result.manifest_path}")
    if result.delivered_to is not None:
        click.echo(f"Delivered to: {result.delivered_to}")
    for url in result.tasks:
        click.echo(f"Task URL: {url}")
    if not result.tasks and not result.dry_run:
        click.echo(f"Make a task of them in CVAT, at http://{result.gpusrv_host}:8080")
    if result.run_id is not None:
        click.echo(f"Run: {result.run_id} ({result.run_root})")
