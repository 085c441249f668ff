"""``agir-cvtoolkit retrain``."""

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
    from agir_cvtoolkit.stages.retrain import RetrainResult


@click.command("retrain")
@click.option(
    "--service-account", type=Path, default=None, metavar="FILE", help="Key file of the Firebase project."
)
@click.option("--watch", is_flag=True, help="Stay, and retrain whenever a trigger waits.")
@with_options
def command(shell: Shell, *, service_account: Path | None, watch: bool) -> None:
    """Take a retraining trigger, train on all corrections, and publish the model where it is better.

    \b
    agir-cvtoolkit retrain
    agir-cvtoolkit retrain --watch
    agir-cvtoolkit evaluate --run retrain/<trigger>

    The frozen test set is never trained on. A new model takes over only where it is better than the one in service
    beyond chance.
    """

    def once(call: Call) -> RetrainResult:
        from agir_cvtoolkit.stages.retrain import retrain

        return retrain(call, service_account=service_account)

    def stay(call: Call) -> Watched:
        from agir_cvtoolkit.serving.stopping import StoppableProgress, stopping_on_signals
        from agir_cvtoolkit.serving.watch import watch as watch_step
        from agir_cvtoolkit.stages.retrain import RetrainStep

        if call.dry_run:
            raise UsageError("--watch trains", "Leave out --dry-run.")
        with stopping_on_signals() as stop:
            stoppable = replace(call, progress=StoppableProgress(stop, call.progress))
            look = RetrainStep(stoppable, service_account=service_account)

            def step() -> bool:
                result = look()
                if result is None or not result.worked:
                    return False
                if shell.as_json:
                    click.echo(json.dumps(plain(result), ensure_ascii=False))
                elif not shell.quiet:
                    _show(result)
                return True

            return watch_step(step, call.settings().firebase.poll_s, stop, failed=tell_failed)

    if watch:
        shell.run(stay, _show_watched)
    else:
        shell.run(once, _show)


def _show_watched(watched: Watched) -> None:
    looks = counted(watched.steps, "look")
    click.echo(f"Stopped after {looks}: {counted(watched.worked, 'training')}, {watched.failures} failed")


def _show(result: RetrainResult) -> None:
    corrections = counted(result.corrections, "correction")
    if result.state == "nothing":
        click.echo(
            f"No trigger waits in {result.store}: {result.waiting} of {result.threshold} corrections are there"
        )
        return
    if result.state == "planned":
        click.echo(f"Would train for trigger {result.trigger_id} with {corrections}")
        return
    if result.state == "known":
        click.echo(f"Trigger {result.trigger_id} done: all its corrections were learned from before")
        echo_items(result.items)
        return
    if result.state == "elsewhere":
        click.echo(f"Trigger {result.trigger_id} done: another machine has published model {result.version}")
        return
    click.echo(
        f"Trigger {result.trigger_id}, {corrections}: model {result.version} trained on"
        f" {counted(result.trained, 'picture')}, tested on {result.tested}"
    )
    if result.evaluation is not None:
        from .evaluate import show_table

        show_table(result.evaluation)
    elif result.verdict is not None:
        click.echo(f"There is no test set yet; {result.verdict.words}")
    if result.promoted:
        kinds = ", ".join(kind for kind, _ in result.files)
        click.echo(f"In service and published in {result.store}: {kinds}")
    else:
        stays = result.evaluation.incumbent if result.evaluation is not None else ""
        click.echo(f"{(stays or 'the champion').capitalize()} stays in service")
    if result.warning:
        click.echo(f"Note: {result.warning}", err=True)
    echo_items(result.items)
    click.echo(f"Run: {result.run_id}")
