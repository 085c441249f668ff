"""``agir-cvtoolkit export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._counted import counted
from ._shell import Shell, echo_items, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.export import ExportResult

FORMATS = (
    "coco", "yolo", "yolo-seg", "yolo-pose", "masks", "cvat", "datumaro", "camvid", "sleap", "deeplabcut",
)  # fmt: skip


def label_names(context: click.Context, option: click.Parameter, words: tuple[str, ...]) -> dict[str, str]:
    """Read ``OLD=NEW`` pairs."""
    found: dict[str, str] = {}
    for word in words:
        old, equals, new = word.partition("=")
        if not equals or not old:
            raise click.BadParameter(f"'{word}' is not OLD=NEW", context, option)
        found[old] = new
    return found


@click.command("export")
@click.argument("dataset_format", metavar="FORMAT", type=click.Choice(FORMATS))
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder to write; else exports/FORMAT of the run."
)
@click.option("--task-id", "task_ids", type=int, multiple=True, help="Only this task; may be repeated.")
@click.option("--project", metavar="NAME|ID", help="Only tasks of this project.")
@click.option("--predictions", is_flag=True, help="What the run predicted, not what was pulled.")
@click.option(
    "--unfinished", is_flag=True, help="Also jobs that nobody has completed, where they were pulled."
)
@click.option("--masks", type=click.Choice(["rle", "polygons"]), default="rle", help="How COCO gets masks.")
@click.option(
    "--pictures",
    type=click.Choice(["copy", "link", "none"]),
    default="copy",
    help="What is laid beside the labels.",
)
@click.option(
    "--labels", multiple=True, metavar="OLD=NEW", callback=label_names, help="Rename; OLD= leaves it out."
)
@click.option("--split", default="none", metavar="none|run|80/10/10", help="Folders for train, val and test.")
@click.option("--overwrite", is_flag=True, help="Replace the folder if it is there.")
@with_options
def command(shell: Shell, *, dataset_format: str, **options: Any) -> None:
    """Write what was pulled as FORMAT: coco, yolo-seg, masks, ...

    Tasks and projects that the run does not have are brought from the server first.

    \b
    agir-cvtoolkit export coco
    agir-cvtoolkit export yolo-seg --split 80/10/10 --out ~/weeds_yolo
    agir-cvtoolkit export masks --project "Field plants 2026"
    agir-cvtoolkit export coco --predictions --masks polygons --pictures link
    """

    def stage(call: Call) -> ExportResult:
        from agir_cvtoolkit.stages.export import ExportOptions, export

        return export(dataset_format, ExportOptions(**options), call)  # type: ignore[arg-type]

    shell.run(stage, _show)


def _show(result: ExportResult) -> None:
    verb = "would be written" if result.dry_run else "written"
    click.echo(
        f"{counted(result.pictures, 'picture')} {verb} as {result.format}"
        + ("" if result.dry_run else f", {counted(result.shapes, 'shape')}, {result.empty} empty")
        + f": {result.out}"
    )
    click.echo(f"  labels: {', '.join(result.labels) or 'none'}")
    if result.splits:
        click.echo(f"  {', '.join(f'{count} {side}' for side, count in result.splits.items())}")
    if result.losses:
        lost = ", ".join(f"{count} {what}" for what, count in result.losses.items())
        click.echo(f"{result.format} cannot hold: {lost} (see docs/formats.md)", err=True)
    echo_items(result.items, rest="see --json")
