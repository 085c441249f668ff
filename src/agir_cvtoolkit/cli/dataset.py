"""``agir-cvtoolkit dataset``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.datasets import DatasetDiff, DatasetShown, DatasetsListed

_FEW = 10


@click.group("dataset")
def command() -> None:
    """List the versions of data sets, show one, compare two."""


@command.command("list")
@with_options
def list_all(shell: Shell) -> None:
    """List all versions, newest first.

    \b
    agir-cvtoolkit dataset list
    """

    def stage(call: Call) -> DatasetsListed:
        from agir_cvtoolkit.stages.datasets import dataset_list

        return dataset_list(call)

    shell.run(stage, _show_list)


@command.command("show")
@click.argument("version", required=False)
@with_options
def show(shell: Shell, *, version: str | None) -> None:
    """Show VERSION, or the one that the run has: what it was made of, its split and its classes.

    \b
    agir-cvtoolkit dataset show
    agir-cvtoolkit dataset show 3f2a
    """

    def stage(call: Call) -> DatasetShown:
        from agir_cvtoolkit.stages.datasets import dataset_show

        return dataset_show(version, call)

    shell.run(stage, _show_one)


@command.command("diff")
@click.argument("before", required=False)
@click.argument("after", required=False)
@with_options
def diff(shell: Shell, *, before: str | None, after: str | None) -> None:
    """Compare version BEFORE with AFTER; without them the run's version with the one that it had before.

    \b
    agir-cvtoolkit dataset diff
    agir-cvtoolkit dataset diff 3f2a 91bc
    """

    def stage(call: Call) -> DatasetDiff:
        from agir_cvtoolkit.stages.datasets import dataset_diff

        return dataset_diff(before, after, call)

    shell.run(stage, _show_diff)


def _show_list(result: DatasetsListed) -> None:
    click.echo(f"{'version':17} {'made':17} {'pictures':>8} {'train/val/test tiles':>21}  run")
    for version in result.versions:
        tiles = "/".join(str(version.tiles.get(side, 0)) for side in ("train", "val", "test"))
        made = version.created[:16].replace("T", " ")
        click.echo(f"{version.version:17} {made:17} {version.pictures:>8} {tiles:>21}  {version.run_id}")


def _show_one(result: DatasetShown) -> None:
    version = result.version
    click.echo(f"{version.version}  {result.place or 'its files are there no more'}")
    click.echo(f"  made {version.created[:16].replace('T', ' ')} by run {version.run_id}")
    click.echo(f"  follows {' <- '.join(result.lineage) or 'nothing'}")
    sides = ", ".join(f"{count} {side}" for side, count in result.records.items())
    click.echo(f"  {counted(version.pictures, 'picture')}, {counted(version.records, 'record')}: {sides}")
    for name, share in result.shares.items():
        click.echo(f"  {share:8.2%} of the training pixels are {name}")


def _show_diff(result: DatasetDiff) -> None:
    click.echo(f"{result.before} -> {result.after}")
    for what, records in (
        ("added", result.added),
        ("removed", result.removed),
        ("with another mask", result.corrected),
        ("with another picture", result.replaced),
    ):
        click.echo(f"  {counted(len(records), 'record')} {what}{_some(records)}")
    moved = [f"{record} ({old} -> {new})" for record, (old, new) in result.moved.items()]
    click.echo(f"  {counted(len(moved), 'record')} on another side{_some(moved)}")
    for name in result.classes_added:
        click.echo(f"  class {name} is new")
    for name in result.classes_removed:
        click.echo(f"  class {name} is gone")
    for key, (old, new) in result.settings.items():
        click.echo(f"  preprocess.{key}: {old} -> {new}")


def _some(names: tuple[str, ...] | list[str]) -> str:
    if not names:
        return ""
    more = f", and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return f": {', '.join(names[:_FEW])}{more}"
