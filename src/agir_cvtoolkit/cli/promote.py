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
@with_options
def command(shell: Shell, *, checkpoint: Path | None) -> None:
    """Make CHECKPOINT (default: the run's model/best.pth) the champion.

    \b
    agir-cvtoolkit promote
    agir-cvtoolkit infer-seg -o seg_inference.model.predictor=champion
    """

    def stage(call: Call) -> PromoteResult:
        from agir_cvtoolkit.stages.promote import promote

        return promote(checkpoint, call)

    shell.run(stage, _show)


def _show(result: PromoteResult) -> None:
    verb = "would be" if result.dry_run else "is"
    click.echo(f"{result.name} {result.version} {verb} the champion (before: {result.earlier or 'none'})")
    click.echo(f"Checkpoint: {result.path}")
