"""``agir-cvtoolkit infer-seg``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, echo_items, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.infer_seg import InferResult


@click.command("infer-seg")
@with_options
def command(shell: Shell) -> None:
    """Predict masks for the records of the query, with an uncertainty for each.

    \b
    agir-cvtoolkit infer-seg
    agir-cvtoolkit infer-seg -o seg_inference.model.ckpt_path=outputs/runs/current/model/best.pth
    """

    def stage(call: Call) -> InferResult:
        from agir_cvtoolkit.stages.infer_seg import infer_seg

        return infer_seg(call)

    shell.run(stage, _show)


def _show(result: InferResult) -> None:
    verb = "would be predicted" if result.dry_run else "predicted"
    click.echo(
        f"{result.predicted} of {counted(result.total, 'record')} {verb} with {result.model},"
        f" {result.skipped} skipped, {result.failed} failed"
    )
    echo_items(result.items)
    click.echo(f"Run: {result.run_id} ({result.run_root})")
