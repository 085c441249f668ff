"""``agir-cvtoolkit loop``."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from agir_cvtoolkit.errors import UsageError

from ._counted import counted
from ._shell import Shell, harmless, plain, with_options
from ._watching import tell_failed

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.loop import LoopOptions, LoopResult, Step


@click.command("loop")
@click.argument("name")
@click.option("--rounds", type=click.IntRange(min=1), default=None, help="So many rounds in all, then end.")
@click.option(
    "--count", type=click.IntRange(min=1), default=None, help="Pictures of a round; kept.  [default: 20]"
)
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), default=None, help="Of people's work.")
@click.option(
    "--target",
    type=click.FloatRange(min=0, max=1, min_open=True),
    default=None,
    help="End when the model in service reaches this mean IoU, background counted (poses: PCK).",
)
@click.option(
    "--patience",
    type=click.IntRange(min=1),
    default=None,
    help="End when so many models in a row did not take over.  [default: 2]",
)
@click.option("--pool", default=None, metavar="RUN|DIR", help="A run with a query, or a folder of pictures.")
@click.option("--db", type=click.Choice(["semif", "field"]), default=None, help="Query this database.")
@click.option("--filters", multiple=True, metavar="EXPR", help="Of a query that makes the pool.")
@click.option("--sample", default=None, metavar="SPEC", help="Of a query that makes the pool.")
@click.option("--limit", type=click.IntRange(min=1), default=None, help="Of a query that makes the pool.")
@click.option("--watch", is_flag=True, help="Stay: what fails is tried again; webhooks can wake it.")
@click.option("--listen", default=None, metavar="HOST:PORT", help="With --watch: CVAT's webhooks call here.")
@with_options
def command(shell: Shell, *, name: str, watch: bool, listen: str | None, **given: Any) -> None:
    """Run whole rounds: choose, push, wait for people, pull, train, compare, promote; until a budget ends it.

    \b
    agir-cvtoolkit loop barley --db semif --filters "state=NC" --count 20 --rounds 5
    agir-cvtoolkit loop barley --target 0.85
    agir-cvtoolkit loop barley --watch --listen 0.0.0.0:8086
    agir-cvtoolkit loop barley --dry-run

    The same NAME goes on with the same loop, its pool and its count, wherever it was ended or killed.
    trigger explain NAME says what it waits for.
    """

    def once(call: Call) -> LoopResult:
        from agir_cvtoolkit.serving.stopping import StoppableProgress, stopping_on_signals
        from agir_cvtoolkit.stages.loop import loop

        with stopping_on_signals() as stop:
            stoppable = replace(call, progress=StoppableProgress(stop, call.progress))
            return loop(name, _options(given), stoppable, stop=stop, tell=_teller(shell))

    def stay(call: Call) -> LoopResult:
        from agir_cvtoolkit.serving.receiver import Receiver, WakingClock, listening_address
        from agir_cvtoolkit.serving.stopping import StoppableProgress, stopping_on_signals
        from agir_cvtoolkit.serving.watch import watch as watch_step
        from agir_cvtoolkit.stages.loop import looping, result_of
        from agir_cvtoolkit.stages.webhooks import receiver_secret

        if call.dry_run:
            raise UsageError("--watch works until the loop ends", "Leave out --dry-run.")
        options, tell = _options(given), _teller(shell)
        with ExitStack() as held:
            stop = held.enter_context(stopping_on_signals())
            clock = None
            if listen is not None:
                receiver = held.enter_context(Receiver(*listening_address(listen), receiver_secret(call)))
                clock = WakingClock(receiver.woken)
                if not shell.quiet:
                    click.echo(f"Listening for webhooks at {receiver.url}", err=True)
            stoppable = replace(call, progress=StoppableProgress(stop, call.progress))
            steps = held.enter_context(looping(name, options, stoppable, patient=True))
            last: list[Step] = []

            def step() -> bool:
                last[:] = [steps.step()]
                tell(last[0])
                if last[0].state == "ended":
                    stop.set()
                return last[0].state == "worked"

            watch_step(step, call.settings().loop.poll_s, stop, clock, failed=tell_failed)
        ended = bool(last) and last[0].state == "ended"
        return result_of(name, call, "ended" if ended else "stopped", last[0].words if last else "")

    if listen is not None and not watch:
        raise click.UsageError("--listen belongs to --watch")
    shell.run(stay if watch else once, _show)


def _options(given: dict[str, Any]) -> LoopOptions:
    from agir_cvtoolkit.stages.loop import LoopOptions

    words = dict(given)
    query = {key: words.pop(key) for key in ("db", "filters", "sample", "limit")}
    asked = {key: value for key, value in query.items() if value not in (None, ())}
    if asked and words["pool"] is not None:
        raise UsageError("--pool and a query exclude each other", "Leave one of the two out.")
    return LoopOptions(**words, query=asked or None)


class _Teller:
    """Says what a loop does: waiting only when something else is waited for."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._said = ""

    def __call__(self, step: Step) -> None:
        words = f"Round {step.round.number}: {step.words}" if step.round is not None else step.words
        if self._shell.quiet or step.state == "ended" or words == self._said:
            return
        self._said = words
        if self._shell.as_json:
            content = {"step": step.state, "words": step.words, "round": plain(step.round)}
            click.echo(json.dumps(content, ensure_ascii=False), err=True)
        else:
            click.echo(words, err=True)


def _teller(shell: Shell) -> _Teller:
    return _Teller(shell)


def _show(result: LoopResult) -> None:
    for row in result.rounds:
        said = row.figures.get("words") or row.figures.get("reason") or ""
        score = row.figures.get("score")
        figures = f", {result.figure} {score:.3f}" if isinstance(score, float) else ""
        before = row.figures.get("incumbent_score")
        if figures and isinstance(before, float):
            figures += f" ({row.figures['incumbent']} {before:.3f})"
        state = row.state.replace("_", " ")
        click.echo(
            f"Round {row.number}: {state}, {row.figures.get('chosen', 0)} chosen{figures}. {said}".rstrip()
        )
    if serving := result.champion or result.incumbent:
        score = "" if result.score is None else f", {result.figure} {result.score:.3f}"
        click.echo(f"In service: {serving}{score}")
    measured = [found for row in result.rounds if isinstance(found := row.figures.get("benefit"), dict)]
    if measured:
        click.echo(f"Choosing: {measured[-1]['verdict']}. {measured[-1]['words'][0]}")
    click.echo(f"{counted(result.pictures, 'picture')}, {result.hours:.1f} hours of people's work")
    does = {"ended": "At its end", "waiting": "Waits", "stopped": "Stopped", "planned": "Next"}
    click.echo(f"{does[result.state]}: {result.why}")
    for capture_id in result.captures[:20]:
        click.echo(harmless(f"  {capture_id}"))
