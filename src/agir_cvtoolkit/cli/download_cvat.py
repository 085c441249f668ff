"""``agir-cvtoolkit download-cvat``."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from agir_cvtoolkit.errors import UsageError

from ._counted import counted
from ._shell import Shell, echo_items, plain, with_options
from ._watching import tell_failed

if TYPE_CHECKING:
    from agir_cvtoolkit.serving.watch import Watched
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.download_cvat import DownloadResult


@click.command("download-cvat")
@click.option("--watch", is_flag=True, help="Stay, and bring each job back soon after it is completed.")
@click.option(
    "--listen",
    default=None,
    metavar="HOST:PORT",
    help="With --watch: be woken by CVAT's webhooks, which call here.",
)
@with_options
def command(shell: Shell, *, watch: bool, listen: str | None) -> None:
    """Bring finished jobs back as shapes and masks.

    \b
    agir-cvtoolkit download-cvat
    agir-cvtoolkit download-cvat -o cvat_download.project_id=12345 -o cvat_download.required_status=completed
    agir-cvtoolkit download-cvat -o cvat_download.required_stage=acceptance
    agir-cvtoolkit download-cvat -o cvat_download.job_types=[annotation,ground_truth]
    agir-cvtoolkit download-cvat --watch --listen 0.0.0.0:8086

    A watch looks every cvat_download.poll_s seconds, and at once when a webhook says so (see webhook add).
    """

    def stage(call: Call) -> DownloadResult:
        from agir_cvtoolkit.stages.download_cvat import download_cvat

        return download_cvat(call)

    def stay(call: Call) -> Watched:
        from agir_cvtoolkit.serving.receiver import Receiver, WakingClock, listening_address
        from agir_cvtoolkit.serving.stopping import StoppableProgress, stopping_on_signals
        from agir_cvtoolkit.serving.watch import watch as watch_step
        from agir_cvtoolkit.stages.download_cvat import DownloadStep
        from agir_cvtoolkit.stages.webhooks import receiver_secret

        if call.dry_run:
            raise UsageError("--watch writes", "Leave out --dry-run.")
        with ExitStack() as held:
            stop = held.enter_context(stopping_on_signals())
            clock = None
            if listen is not None:
                receiver = held.enter_context(Receiver(*listening_address(listen), receiver_secret(call)))
                clock = WakingClock(receiver.woken)
                if not shell.quiet:
                    click.echo(f"Listening for webhooks at {receiver.url}", err=True)
            look = DownloadStep(replace(call, progress=StoppableProgress(stop, call.progress)))

            def step() -> bool:
                result = look()
                if result.jobs_read and not shell.quiet:
                    _tell(result, as_json=shell.as_json)
                return False

            return watch_step(step, call.settings().cvat_download.poll_s, stop, clock, failed=tell_failed)

    if listen is not None and not watch:
        raise click.UsageError("--listen belongs to --watch")
    if watch:
        shell.run(stay, _show_watched)
    else:
        shell.run(stage, _show)


def _tell(result: DownloadResult, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(plain(result), ensure_ascii=False))
    else:
        _show(result)


def _show_watched(watched: Watched) -> None:
    click.echo(f"Stopped after {counted(watched.steps, 'look')}, {watched.failures} failed")


def _show(result: DownloadResult) -> None:
    _show_pulled(result)
    if result.open_issues:
        click.echo(
            f"  {counted(result.open_issues, 'open issue')} of reviewers: agir-cvtoolkit quality lists them"
        )


def _show_pulled(result: DownloadResult) -> None:
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
