"""``agir-cvtoolkit simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.simulate import SimulateResult


@click.command("simulate")
@click.argument("data", required=False, type=click.Path(path_type=Path))
@click.option(
    "--strategies", metavar="A,B", help="To compare: random, entropy, default, or names of select --list."
)
@click.option("--budgets", metavar="8,16,32", help="Labelled units; the first are drawn at random.")
@click.option("--seeds", type=click.IntRange(1), help="Repetitions.")
@click.option("--unit", type=click.Choice(("tile", "picture")), help="What is labelled at a time.")
@click.option(
    "--test",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="List of pictures to test on.",
)
@click.option(
    "--duplicates", type=click.FloatRange(0, 0.95), help="Make this share of the pool near-duplicates."
)
@click.option("--jobs", type=click.IntRange(1), help="Processes.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the results.")
@with_options
def command(
    shell: Shell,
    *,
    data: Path | None,
    strategies: str | None,
    budgets: str | None,
    seeds: int | None,
    unit: str | None,
    test: Path | None,
    duplicates: float | None,
    jobs: int | None,
    out: Path | None,
) -> None:
    """Replay the labelled pictures of DATA as a pool, and compare strategies of choice.

    DATA is a folder with images/ and labels/ (or masks/, or poses/), a data set version, or DeepLabCut's
    CollectedData_*.csv; without it the corrections of the run are taken. Killed and started again it goes on.

    \b
    agir-cvtoolkit simulate my_pictures --dry-run
    agir-cvtoolkit simulate my_pictures --strategies random,default,clusters --seeds 10
    agir-cvtoolkit simulate my_pictures --duplicates 0.8
    """
    numbers = _numbers(budgets)

    def stage(call: Call) -> SimulateResult:
        from agir_cvtoolkit.stages.simulate import simulate

        return simulate(
            data,
            strategies=[name.strip() for name in strategies.split(",")] if strategies is not None else None,
            budgets=numbers,
            seeds=seeds,
            unit=unit,
            test=test,
            duplicates=duplicates,
            jobs=jobs,
            out=out,
            call=call,
        )

    shell.run(stage, _show)


def _numbers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise click.BadParameter(
            f"'{text}' are no numbers with commas between", param_hint="--budgets"
        ) from None


def _show(result: SimulateResult) -> None:
    if result.dry_run:
        for line in result.words:
            click.echo(f"{line[:1].upper()}{line[1:]}")
        return
    tested = counted(result.tested, "picture")
    others = ", other ones for each seed" if result.drawn else ""
    click.echo(f"{result.pool} to choose from, tested on {tested} that nothing was chosen from{others}")
    width = max((len(curve.strategy) for curve in result.curves), default=0)
    budgets = [point.labels for point in result.curves[0].points] if result.curves else []
    click.echo(" " * width + "".join(f"{labels:>9}" for labels in budgets))
    for curve in result.curves:
        scores = "".join(f"{point.score.mean:9.3f}" for point in curve.points)
        click.echo(f"{curve.strategy:{width}}{scores}")
    for line in result.words:
        click.echo(line)
    click.echo(f"Curves: {result.folder / 'curves.png'}")
