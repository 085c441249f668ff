"""``agir-cvtoolkit models``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.models_list import ModelShown, ModelsListed
    from agir_cvtoolkit.stages.models_onnx import ModelExported


@click.group("models")
def command() -> None:
    """List and show models; write one as ONNX."""


@command.command("list")
@with_options
def list_all(shell: Shell) -> None:
    """List all models, newest first.

    \b
    agir-cvtoolkit models list
    """

    def stage(call: Call) -> ModelsListed:
        from agir_cvtoolkit.stages.models_list import models_list

        return models_list(call)

    shell.run(stage, _show_list)


@command.command("show")
@click.argument("version", required=False)
@with_options
def show(shell: Shell, *, version: str | None) -> None:
    """Show VERSION, or the champion: its figures, its data set, its configuration and its commit.

    \b
    agir-cvtoolkit models show
    agir-cvtoolkit models show 3f2a
    """

    def stage(call: Call) -> ModelShown:
        from agir_cvtoolkit.stages.models_list import models_show

        return models_show(version, call)

    shell.run(stage, _show_one)


@command.command("onnx")
@click.argument("checkpoint", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Default: best.onnx beside it.")
@with_options
def onnx(shell: Shell, *, checkpoint: Path | None, out: Path | None) -> None:
    """Write CHECKPOINT (default: the run's model/best.pth) as ONNX, checked against PyTorch.

    \b
    agir-cvtoolkit models onnx
    agir-cvtoolkit models onnx outputs/models/3f2a91bc5d6e/best.pth --out field.onnx
    """

    def stage(call: Call) -> ModelExported:
        from agir_cvtoolkit.stages.models_onnx import models_onnx

        return models_onnx(checkpoint, call, out=out)

    shell.run(stage, _show_exported)


def _show_exported(result: ModelExported) -> None:
    verb = "would be written" if result.dry_run else "says the same as its checkpoint"
    click.echo(f"{result.name}@{result.version} {verb}: {result.path}")
    if not result.dry_run:
        click.echo(f"Next: agir-cvtoolkit infer-seg -o seg_inference.model.ckpt_path={result.path}")


def _show_list(result: ModelsListed) -> None:
    if not result.models:
        click.echo("No models yet. Train one: agir-cvtoolkit train")
        return
    click.echo(f"  {'version':14}{'kind':14}{'trained':18}{'run':24}figure")
    for model in result.models:
        figure = next((n for n in ("test_iou", "test_pck_05", "val_iou") if n in model.metrics), "")
        value = f"{figure} {model.metrics[figure]:.3f}" if figure else "-"
        run = model.run_id or "-"
        champion = "  champion" if model.is_champion else ""
        created = model.created[:16].replace("T", " ")
        click.echo(f"  {model.version:14}{model.kind:14}{created:18}{run:24}{value}{champion}")


def _show_one(result: ModelShown) -> None:
    model = result.model
    click.echo(f"{model.name}@{model.version}  {model.kind}{', champion' if model.is_champion else ''}")
    click.echo(f"  file       {model.path}{'' if result.there else '  (gone)'}")
    click.echo(f"  trained    {model.created} in run {model.run_id or '-'}")
    click.echo(f"  commit     {result.commit or '-'}")
    made = result.dataset_version
    what = f": {made.pictures} pictures, {made.tiles.get('train', 0)} tiles to train on" if made else ""
    click.echo(f"  data set   {result.dataset or '-'}{what}")
    if result.lineage:
        click.echo(f"  follows    {', '.join(result.lineage)}")
    if model.test_set:
        click.echo(f"  tested on  {model.test_set}")
    for figure, share in model.metrics.items():
        click.echo(f"  {figure:32} {share:.3f}")
    click.echo("  configuration")
    for name, value in _flat(result.configuration):
        click.echo(f"    {name} = {value}")


def _flat(content: Mapping[str, object], before: str = "") -> Iterator[tuple[str, object]]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value
