"""``agir-cvtoolkit firebase submit``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ._counted import counted
from ._shell import Shell, echo_items, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.firebase_submit import SubmitResult


@click.command("submit")
@click.argument("pictures", required=False, metavar="[PICTURES]")
@click.option("--poses", metavar="FILE|DIR", help="JSON that names pictures, or a folder with one for each.")
@click.option("--device", default="agir-cvtoolkit", show_default=True, metavar="ID", help="Id of the device.")
@click.option(
    "--threshold", type=float, help="Send poses below it.  [default: firebase.upload_threshold, 0.6]"
)
@click.option("--priority", type=click.IntRange(1, 10), help="Of all, instead of the one by confidence.")
@click.option("--joint-group", default="all", show_default=True, metavar="NAME", help="What they are about.")
@click.option("--limit", type=click.IntRange(min=1), help="Captures, at most, the least sure first.")
@click.option(
    "--service-account", metavar="FILE", help="Key of Google Cloud; else GOOGLE_APPLICATION_CREDENTIALS."
)
@with_options
def command(shell: Shell, **options: Any) -> None:
    """Play a device: send the PICTURES (a folder, or one) of whose poses a model is not sure.

    Without PICTURES those of the run are sent, with the poses that infer-pose has found.

    \b
    agir-cvtoolkit firebase submit photos --poses photos/poses.json --device phone-7
    agir-cvtoolkit firebase submit -o firebase.store=embedded --limit 20
    """

    def stage(call: Call) -> SubmitResult:
        from agir_cvtoolkit.stages.firebase_submit import firebase_submit

        return firebase_submit(call, **options)

    shell.run(stage, _show)


def _show(result: SubmitResult) -> None:
    verb = "would be submitted" if result.dry_run else "submitted"
    click.echo(
        f"{counted(result.submitted, 'capture')} of {counted(result.pictures, 'picture')} {verb} to {result.place},"
        f" {result.there} there already, {result.sure} sure enough (from {result.threshold:g} on),"
        f" {result.failed} failed"
    )
    echo_items(result.items)
