"""``agir-cvtoolkit import``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._counted import counted
from ._shell import Shell, echo_items, with_options
from .export import label_names

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.import_labels import ImportResult

FORMATS = ("coco", "yolo", "yolo-seg", "yolo-pose", "cvat", "masks")
_PATH = click.Path(path_type=Path)


@click.command("import")
@click.argument("dataset_format", metavar="FORMAT", type=click.Choice(FORMATS))
@click.argument("path", type=_PATH)
@click.option(
    "--pictures", type=_PATH, help="Folder of the pictures, where they do not lie beside the labels."
)
@click.option("--reference", type=_PATH, help="COCO's annotations, where PATH is a list of results.")
@click.option(
    "--as",
    "kind",
    type=click.Choice(["auto", "masks", "poses", "boxes"]),
    default="auto",
    help="What the run holds.",
)
@click.option("--joints", help="Pose schema: its name or file; else the skeleton's own joints.")
@click.option(
    "--labels", multiple=True, metavar="OLD=NEW", callback=label_names, help="Rename; OLD= leaves it out."
)
@with_options
def command(shell: Shell, *, dataset_format: str, path: Path, **options: Any) -> None:
    """Take labels or predictions of FORMAT from PATH into a run; upload-cvat and train go on from there.

    \b
    agir-cvtoolkit import coco instances.json --pictures images
    agir-cvtoolkit import yolo-seg runs/segment/predict/data.yaml --labels weeds=weed
    agir-cvtoolkit import cvat annotations.xml --pictures images --as poses
    agir-cvtoolkit import yolo runs/detect/predict/data.yaml
    """

    def stage(call: Call) -> ImportResult:
        from agir_cvtoolkit.stages.import_labels import ImportOptions, import_labels

        return import_labels(dataset_format, path, ImportOptions(**options), call)  # type: ignore[arg-type]

    shell.run(stage, _show)


def _show(result: ImportResult) -> None:
    verb = "would be taken" if result.dry_run else "taken"
    where = f" into run {result.run_id}" if result.run_id else ""
    click.echo(f"{result.taken} of {counted(result.total, 'picture')} {verb} as {result.kind}{where}")
    if result.kept:
        click.echo(f"  {result.kept} of them were there already")
    click.echo(f"  labels: {', '.join(result.labels) or 'none'}")
    if result.left_out:
        left = ", ".join(f"{count} {what}" for what, count in result.left_out.items())
        click.echo(f"left out or changed: {left} (see docs/formats.md)", err=True)
    echo_items(result.items)
    if result.unlisted:
        click.echo(f"  and {result.unlisted} more that are not listed", err=True)
