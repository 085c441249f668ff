"""``agir-cvtoolkit select``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._counted import counted, spent
from ._shell import Shell, echo_items, harmless, with_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agir_cvtoolkit.choosing import Choice
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.select import Explained, SelectResult

_CHOSEN = ""


@click.command("select")
@click.option("--count", type=click.IntRange(1), help="Choose so many.")
@click.option("--hours", type=click.FloatRange(0, min_open=True), help="As many as people do in that time.")
@click.option("--strategy", metavar="NAME", help="How to choose; --list names them.")
@click.option(
    "--score", "scores", multiple=True, metavar="NAME[=WEIGHT]", help="Go by this score; repeatable."
)
@click.option("--unit", type=click.Choice(("picture", "region")), help="What is chosen.")
@click.option("--seed", type=click.IntRange(0), help="Of all chance.")
@click.option(
    "--explain", is_flag=False, flag_value=_CHOSEN, default=None, metavar="[RECORD]",
    help="Tell why the batch was chosen, or why RECORD was or was not.",
)  # fmt: skip
@click.option("--contact-sheet", is_flag=True, help="Draw the batch into select/contact_sheet.jpg.")
@click.option("--list", "listed", is_flag=True, help="List the strategies.")
@with_options
def command(
    shell: Shell,
    *,
    count: int | None,
    hours: float | None,
    strategy: str | None,
    scores: tuple[str, ...],
    unit: str | None,
    seed: int | None,
    explain: str | None,
    contact_sheet: bool,
    listed: bool,
) -> None:
    """Choose which of the predicted pictures people get to see next; upload-cvat then sends these.

    \b
    agir-cvtoolkit select --count 50
    agir-cvtoolkit select --hours 4 --strategy clusters --score entropy --contact-sheet
    agir-cvtoolkit select --unit region --count 200
    agir-cvtoolkit select --explain
    """
    weights = _weights(scores)

    if listed:
        shell.run(_strategies, _show_list, configured=False)
        return
    if explain is not None:
        shell.run(lambda call: _explained(explain, call), _show_explained)
        return

    def stage(call: Call) -> SelectResult:
        from agir_cvtoolkit.stages.select import select

        return select(
            count,
            hours=hours,
            strategy=strategy,
            scores=weights,
            unit=unit,
            seed=seed,
            contact_sheet=contact_sheet,
            call=call,
        )

    shell.run(stage, _show)


def _strategies(call: Call) -> Mapping[str, str]:
    from agir_cvtoolkit.stages.select import select_strategies

    del call
    return select_strategies()


def _explained(record: str, call: Call) -> Explained:
    from agir_cvtoolkit.stages.select import select_explain

    return select_explain(record or None, call)


def _weights(scores: Sequence[str]) -> dict[str, float] | None:
    found: dict[str, float] = {}
    for text in scores:
        name, _, weight = text.partition("=")
        try:
            found[name] = float(weight) if weight else 1.0
        except ValueError:
            raise click.BadParameter(f"'{weight}' is no number", param_hint="--score") from None
    return found or None


def _show(result: SelectResult) -> None:
    verb = "Would choose" if result.dry_run else "Chose"
    click.echo(
        f"{verb} {result.chosen} of {counted(result.units, result.unit)} by {result.strategy}, seed {result.seed};"
        f" {result.control} of them at random, out of {result.population} that could be"
    )
    if result.seconds is not None:
        click.echo(
            f"About {spent(result.chosen * result.seconds)} of work, at {result.seconds:.0f} s each, {result.timing}"
        )
    for rule, count in sorted(result.counts.items(), key=lambda pair: -pair[1]):
        click.echo(f"  {count:>8}  {rule}")
    for note in result.notes:
        click.echo(f"Note: {note}", err=True)
    echo_items(result.items)
    if result.chosen < result.wanted:
        click.echo(
            f"There are no more than {result.chosen} to choose, of {result.wanted} asked for", err=True
        )
    for path in result.files:
        click.echo(f"  {path}")
    if not result.dry_run:
        click.echo("Next: agir-cvtoolkit upload-cvat")


def _show_explained(result: Explained) -> None:
    click.echo(f"{'rank':>5}  {'score':>8}  unit, and why")
    for one in result.choices:
        click.echo(harmless(_line(one)))
    click.echo("Of all units:")
    for rule, count in sorted(result.counts.items(), key=lambda pair: -pair[1]):
        click.echo(f"  {count:>8}  {rule}")


def _line(one: Choice) -> str:
    score = "-" if one.score is None else f"{one.score:.4f}"
    return f"{one.rank or '-':>5}  {score:>8}  {one.unit_id}: {one.rule}"


def _show_list(found: Mapping[str, str]) -> None:
    for name, sentence in found.items():
        click.echo(f"{name:22} {sentence}")
