"""``agir-cvtoolkit infer-seg``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, echo_items, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.infer_seg import InferResult


@click.command("infer-seg")
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
@with_options
def command(shell: Shell, *, folder: Path | None) -> None:
    """Predict masks for the records of the query or the pictures of FOLDER, with an uncertainty for each.

    \b
    agir-cvtoolkit infer-seg
    agir-cvtoolkit infer-seg pictures/
    agir-cvtoolkit infer-seg -o seg_inference.model.ckpt_path=outputs/runs/current/model/best.pth

    A FOLDER starts a run, or continues the current one of the same FOLDER.
    """

    def stage(call: Call) -> InferResult:
        from agir_cvtoolkit.stages.infer_seg import infer_seg

        return infer_seg(call, folder=folder)

    shell.run(stage, _show)


def _show(result: InferResult) -> None:
    verb = "would be predicted" if result.dry_run else "predicted"
    click.echo(
        f"{result.predicted} of {counted(result.total, 'record')} {verb} with {result.model},"
        f" {result.skipped} skipped, {result.failed} failed"
    )
    echo_items(result.items)
    if result.run_id is None:
        click.echo("A new run would be started")
    else:
        click.echo(f"Run: {result.run_id} ({result.run_root})")
