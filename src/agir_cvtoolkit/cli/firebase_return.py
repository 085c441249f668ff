"""``agir-cvtoolkit firebase return``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agir_cvtoolkit.errors import UsageError

from ._counted import counted
from ._shell import Shell, echo_items, plain, with_options
from ._watching import tell_failed

if TYPE_CHECKING:
    from agir_cvtoolkit.serving.watch import Watched
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.firebase_return import ReturnResult


@click.command("return")
@click.option(
    "--service-account", type=Path, default=None, metavar="FILE", help="Key file of the Firebase project."
)
@click.option(
    "--annotations", type=Path, default=None, metavar="FILE", help="CVAT for images 1.1: .xml or .zip."
)
@click.option(
    "--task-id", "task_ids", type=click.IntRange(1), multiple=True, help="Read this task from CVAT."
)
@click.option("--project-id", type=click.IntRange(1), default=None, help="Read this project from CVAT.")
@click.option("--trigger-retraining", is_flag=True, help="Demand retraining when enough corrections wait.")
@click.option("--manifest", type=Path, default=None, metavar="FILE", help="transfer_manifest.json to go by.")
@click.option(
    "--output-dir", type=Path, default=None, metavar="DIR", help="Folder of the transfer, with its manifest."
)
@click.option("--watch", is_flag=True, help="Stay, and return jobs of CVAT as they are finished.")
@with_options
def command(
    shell: Shell,
    service_account: Path | None,
    annotations: Path | None,
    task_ids: tuple[int, ...],
    project_id: int | None,
    trigger_retraining: bool,
    manifest: Path | None,
    output_dir: Path | None,
    watch: bool,
) -> None:
    """Write corrected poses to labeled_data, and complete their captures.

    \b
    agir-cvtoolkit firebase return --annotations annotations.xml --trigger-retraining
    agir-cvtoolkit firebase return --task-id 12 --trigger-retraining
    agir-cvtoolkit firebase return --watch --trigger-retraining

    Without a file, finished jobs are read straight from CVAT: of the named tasks or project, else of the project
    firebase.cvat_project. The same annotations may be returned any number of times.
    """

    def once(call: Call) -> ReturnResult:
        from agir_cvtoolkit.stages.firebase_return import firebase_return

        return firebase_return(
            call,
            annotations=annotations,
            task_ids=task_ids,
            project_id=project_id,
            trigger_retraining=trigger_retraining,
            manifest=manifest,
            output_dir=output_dir,
            service_account=service_account,
        )

    def stay(call: Call) -> Watched:
        from agir_cvtoolkit.serving.stopping import StoppableProgress, stopping_on_signals
        from agir_cvtoolkit.serving.watch import watch as watch_step
        from agir_cvtoolkit.stages.firebase_return import ReturnStep

        if annotations is not None or call.dry_run:
            raise UsageError("--watch looks at CVAT and writes", "Leave out --annotations and --dry-run.")
        with stopping_on_signals() as stop:
            look = ReturnStep(
                replace(call, progress=StoppableProgress(stop, call.progress)),
                task_ids=task_ids,
                project_id=project_id,
                trigger_retraining=trigger_retraining,
                manifest=manifest,
                output_dir=output_dir,
                service_account=service_account,
            )

            def step() -> bool:
                result = look()
                if (result.worked or result.items) and not shell.quiet:
                    _tell(result, as_json=shell.as_json)
                return result.worked

            return watch_step(step, call.settings().firebase.poll_s, stop, failed=tell_failed)

    if watch:
        shell.run(stay, _show_watched)
    else:
        shell.run(once, _show)


def _tell(result: ReturnResult, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(plain(result), ensure_ascii=False))
    else:
        _show(result)


def _show_watched(watched: Watched) -> None:
    looks = counted(watched.steps, "look")
    click.echo(f"Stopped after {looks}: {watched.worked} with work, {watched.failures} failed")


def _show(result: ReturnResult) -> None:
    would = "would be " if result.dry_run else ""
    if result.jobs or result.waiting or result.unchanged:
        click.echo(
            f"{counted(result.jobs, 'finished job')} of {result.source}; {result.waiting} not finished,"
            f" {result.unchanged} returned before"
        )
    click.echo(
        f"{counted(result.frames, 'picture')}: {result.matched} known, {counted(result.animals, 'animal')};"
        f" {would}{result.new} new, {result.changed} changed, {result.same} the same in {result.store}"
    )
    if result.withdrawn:
        click.echo(f"  {counted(result.withdrawn, 'animal')} {would}withdrawn: nobody draws them any more")
    click.echo(f"  {counted(result.completed, 'capture')} {would}completed")
    if result.empty:
        click.echo(f"  {counted(len(result.empty), 'picture')} without annotations: left as they are")
    if result.proposals:
        click.echo(
            f"  {counted(len(result.proposals), 'capture')} exactly as the model proposed:"
            " make sure that somebody has looked at them",
            err=True,
        )
    if result.trigger is not None:
        named = f" {result.trigger.trigger_id}" if result.trigger.trigger_id else ""
        click.echo(
            f"  retraining {would}triggered{named}: {counted(result.trigger.count, 'correction')}"
            f" (threshold {result.trigger.threshold})"
        )
    elif result.unreserved is not None:
        waiting = counted(result.unreserved, "correction")
        click.echo(f"  no retraining yet: {waiting} of {result.threshold} wait")
    for listed in (result.notices, result.items):
        echo_items(listed, rest="--json lists all")
