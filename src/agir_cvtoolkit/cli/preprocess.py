"""``agir-cvtoolkit preprocess``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, echo_items, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.preprocess import PreprocessResult


@click.command("preprocess")
@with_options
def command(shell: Shell) -> None:
    """Make the training data set from originals and corrections.

    \b
    agir-cvtoolkit preprocess
    agir-cvtoolkit preprocess -o preprocess.size.height=1024 -o preprocess.size.width=1024
    """

    def stage(call: Call) -> PreprocessResult:
        from agir_cvtoolkit.stages.preprocess import preprocess

        return preprocess(call)

    shell.run(stage, _show)


def _show(result: PreprocessResult) -> None:
    if result.dry_run:
        click.echo(
            f"Would make a data set of {counted(result.pairs, 'picture')} with masks in {result.dataset_dir}"
        )
    else:
        click.echo(
            f"{counted(result.pairs, 'picture')} -> {result.train_samples} train, {result.val_samples} val,"
            f" {result.test_samples} test tiles in {result.dataset_dir}"
        )
    if result.warning:
        click.echo(f"Note: {result.warning}", err=True)
    echo_items(result.items)
