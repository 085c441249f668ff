"""``agir-cvtoolkit trigger``: when a model is trained, and why not yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.trigger import CaptureTrigger, Condition, LoopTrigger, TriggerResult


@click.group("trigger")
def command() -> None:
    """When a model is trained, and why not yet."""


@command.command("explain")
@click.argument("name", required=False)
@click.option("--captures/--no-captures", default=None, help="Ask the store of captures, or do not.")
@with_options
def explain(shell: Shell, *, name: str | None, captures: bool | None) -> None:
    """Say of each condition what it asks for, what is there, and what is missing.

    \b
    agir-cvtoolkit trigger explain
    agir-cvtoolkit trigger explain barley --json

    NAME is a loop's; without one all are explained. The conditions are those of loop.policy; of devices' captures it is
    firebase.retraining_threshold.
    """

    def stage(call: Call) -> TriggerResult:
        from agir_cvtoolkit.stages.trigger import trigger_explain

        return trigger_explain(name, call, captures=captures)

    shell.run(stage, _show)


def _show(result: TriggerResult) -> None:
    for one in result.loops:
        _show_loop(one)
    if result.captures is not None:
        _show_captures(result.captures)
    if not result.loops and result.captures is None:
        click.echo("There is no loop yet. Begin one with: agir-cvtoolkit loop NAME --pool RUN")


def _show_loop(one: LoopTrigger) -> None:
    where = f"round {one.round}, {one.state.replace('_', ' ')}" if one.round else "no round yet"
    click.echo(f"Loop {one.loop} ({where}): {one.words}")
    for condition in one.decision.conditions:
        click.echo(f"  {_line(condition)}")
    if len(one.decision.conditions) > 1:
        click.echo(f"  {one.decision.combine} of them must hold")


def _line(condition: Condition) -> str:
    value = "unknown" if condition.value is None else f"{condition.value:g}"
    said = "fires" if condition.fires else f"missing: {condition.missing}"
    return f"{condition.name}: {value} of {condition.threshold:g}; {said}"


def _show_captures(found: CaptureTrigger) -> None:
    click.echo(
        f"Captures in {found.store}: {found.unreserved} of {counted(found.threshold, 'correction')} that make a trigger"
        + ("" if found.fires else f"; missing: {found.missing}")
    )
    for trigger_id, count in found.waiting:
        click.echo(f"  trigger {trigger_id} waits with {counted(count, 'correction')}")
    if found.passed_over:
        click.echo(
            f"  {counted(found.passed_over, 'capture')} looked at and not chosen so far: see why CAPTURE"
        )
