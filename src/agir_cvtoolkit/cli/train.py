"""``agir-cvtoolkit train``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._shell import Shell, echo_items, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.train import TrainStageResult


@click.command("train")
@with_options
def command(shell: Shell) -> None:
    """Train a model on the corrections; preprocesses by itself.

    \b
    agir-cvtoolkit train
    agir-cvtoolkit train -o train.max_epochs=20 -o train.batch_size=4
    """

    def stage(call: Call) -> TrainStageResult:
        from agir_cvtoolkit.stages.train import train

        return train(call)

    shell.run(stage, _show)


def _show(result: TrainStageResult) -> None:
    if result.dry_run:
        click.echo(f"Would train {result.model} -> {result.best_checkpoint}")
        return
    if result.state == "followed":
        click.echo(f"Computed along; the first process of the job says how {result.model} does")
        return
    click.echo(
        f"{result.model} {result.state}: {result.epochs_completed} epochs on {result.train_samples} tiles;"
        f" best epoch {result.best_epoch}: IoU {result.best_val_iou:.3f}, Dice {result.best_val_dice:.3f}"
        f" on {result.val_samples} tiles for validation"
    )
    for name, value in result.figures.items():
        click.echo(f"  {name:32} {value:.3f}")
    if result.warning:
        click.echo(f"Note: {result.warning}", err=True)
    echo_items(result.items)
    click.echo(
        f"Model: {result.best_checkpoint}; curves and worst tiles: {result.best_checkpoint.with_name('pictures')}"
    )
    click.echo(f"Next: agir-cvtoolkit infer-seg -o seg_inference.model.ckpt_path={result.best_checkpoint}")
