"""``agir-cvtoolkit infer-pose``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, echo_items, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.infer_pose import InferPoseResult


@click.command("infer-pose")
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
@with_options
def command(shell: Shell, *, folder: Path | None) -> None:
    """Find the joints of animals in the pictures of FOLDER, or in the records of the query.

    \b
    agir-cvtoolkit infer-pose pictures/
    agir-cvtoolkit infer-pose pictures/ -o pose_inference.model=outputs/runs/current/model/best.pth
    agir-cvtoolkit infer-pose -o pose_inference.output.save_viz=true

    A FOLDER starts a run, or continues the current one of the same FOLDER.
    """

    def stage(call: Call) -> InferPoseResult:
        from agir_cvtoolkit.stages.infer_pose import infer_pose

        return infer_pose(folder, call)

    shell.run(stage, _show)


def _show(result: InferPoseResult) -> None:
    verb = "would be predicted" if result.dry_run else "predicted"
    sure = "" if result.mean_confidence is None else f", mean confidence {result.mean_confidence:.2f}"
    click.echo(
        f"{result.predicted} of {counted(result.total, 'record')} {verb} with {result.model}"
        f" ({result.schema}){sure}, {result.skipped} skipped, {result.failed} failed"
    )
    echo_items(result.items)
    if result.run_id is None:
        click.echo("A new run would be started")
    else:
        click.echo(f"Run: {result.run_id} ({result.run_root})")
