"""``agir-cvtoolkit promote``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.promote import PromoteResult


@click.command("promote")
@click.argument("checkpoint", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Promote a worse model too; compare nothing.")
@click.option("--publish", is_flag=True, help="Publish a pose model for devices as well.")
@click.option("--service-account", type=Path, default=None, metavar="FILE", help="Key file for --publish.")
@with_options
def command(
    shell: Shell, *, checkpoint: Path | None, force: bool, publish: bool, service_account: Path | None
) -> None:
    """Make CHECKPOINT (default: the run's model/best.pth) the champion of its kind.

    \b
    agir-cvtoolkit promote
    agir-cvtoolkit infer-seg -o seg_inference.model.predictor=champion
    agir-cvtoolkit promote --run retrain/<trigger> --publish

    A model that does worse than the champion on the run's frozen test set is refused without --force.
    """

    def stage(call: Call) -> PromoteResult:
        from agir_cvtoolkit.stages.promote import promote

        return promote(checkpoint, call, force=force, publish=publish, service_account=service_account)

    shell.run(stage, _show)


def _show(result: PromoteResult) -> None:
    verb = "would be" if result.dry_run else "is"
    click.echo(f"{result.name} {result.version} {verb} the champion (before: {result.earlier or 'none'})")
    if result.evaluation is not None:
        from .evaluate import show_table

        show_table(result.evaluation)
    if result.warning:
        click.echo(f"Note: {result.warning}", err=True)
    click.echo(f"Checkpoint: {result.path}")
    if result.published:
        click.echo(f"Published: {', '.join(key for _, key in result.published)}")
