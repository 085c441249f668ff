"""``agir-cvtoolkit firebase run``."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from agir_cvtoolkit.errors import UsageError

from ._counted import counted
from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.serving.together import WatchedTogether
    from agir_cvtoolkit.stages import Call


@click.command("run")
@click.option(
    "--service-account", type=Path, default=None, metavar="FILE", help="Key file of the Firebase project."
)
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Pictures for a task, at most."
)
@click.option(
    "--priority", type=click.IntRange(1, 10), default=5, show_default=True, help="Lowest priority, 1 to 10."
)
@click.option(
    "--look-at",
    type=click.IntRange(min=2),
    default=None,
    help="Look at so many that wait and bring the --limit best, by the model in service, each time that people are "
    "done.  [default: the first ones]",
)
@click.option(
    "--output-dir",
    type=Path,
    default=None,
    metavar="DIR",
    help="Where the pictures go.  [default: /data/cvat-annotations]",
)
@click.option(
    "--gpusrv-host",
    default=None,
    metavar="HOST",
    help="Where CVAT answers.  [default: gpusrv.tailfdc654.ts.net]",
)
@with_options
def command(
    shell: Shell,
    *,
    service_account: Path | None,
    limit: int,
    priority: int,
    look_at: int | None,
    output_dir: Path | None,
    gpusrv_host: str | None,
) -> None:
    """Transfer captures, return corrections and retrain, beside each other, until SIGTERM or Ctrl-C.

    \b
    agir-cvtoolkit firebase run
    agir-cvtoolkit firebase run --service-account ~/.firebase/service-account.json --priority 6
    agir-cvtoolkit firebase run --limit 25 --look-at 100

    What fails is tried again while the others go on. Exit codes: 1 when one of them ended by itself.
    """

    def stay(call: Call) -> WatchedTogether:
        from agir_cvtoolkit.serving.stopping import StoppableProgress, stopping_on_signals
        from agir_cvtoolkit.serving.together import watch_together
        from agir_cvtoolkit.stages.firebase_run import loop_steps

        if call.dry_run:
            raise UsageError("run works until it is stopped", "Leave out --dry-run.")
        with stopping_on_signals() as stop:
            line = StatusLine(sys.stderr, hidden=shell.quiet)
            steps = loop_steps(
                replace(call, progress=StoppableProgress(stop)),
                line.say,
                service_account=service_account,
                limit=limit,
                priority=priority,
                look_at=look_at,
                output_dir=output_dir,
                gpusrv_host=gpusrv_host,
            )
            watched = {name: line.marking(name, step) for name, step in steps.items()}
            done = watch_together(watched, call.settings().firebase.poll_s, stop, line.say)
            line.end()
            return done

    shell.run(stay, _show)


class StatusLine:
    """What each watch does now: one line that is written over on a terminal, else a line for each change."""

    def __init__(self, stream: TextIO, *, hidden: bool = False) -> None:
        self._stream, self._hidden = stream, hidden
        self._one_line = stream.isatty()
        self._words: dict[str, str] = {}
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    def say(self, name: str, words: str) -> None:
        """Show what a watch did; callable from any thread."""
        from agir_cvtoolkit.config import redacted

        with self._lock:
            self._words[name] = f"{redacted(words)} ({datetime.now().astimezone():%H:%M:%S})"
            if not self._one_line and not self._hidden:
                click.echo(f"{name}: {self._words[name]}", file=self._stream)
            self._draw()

    def marking(self, name: str, step: Callable[[], bool]) -> Callable[[], bool]:
        """Return a step that shows that it is at work while it is."""

        def marked() -> bool:
            self._mark(name, at_work=True)
            try:
                return step()
            finally:
                self._mark(name, at_work=False)

        return marked

    def end(self) -> None:
        """Leave the last state on the terminal."""
        if self._one_line and not self._hidden:
            click.echo("", file=self._stream)

    def _mark(self, name: str, *, at_work: bool) -> None:
        with self._lock:
            (self._busy.add if at_work else self._busy.discard)(name)
            self._draw()

    def _draw(self) -> None:
        if not self._one_line or self._hidden:
            return
        names = [*self._words, *sorted(self._busy - set(self._words))]
        parts = [
            f"{name}{'*' if name in self._busy else ''}: {self._words.get(name, '...')}" for name in names
        ]
        width = shutil.get_terminal_size().columns
        click.echo("\r\x1b[K" + " | ".join(parts)[: width - 1], file=self._stream, nl=False)


def _show(result: WatchedTogether) -> None:
    for name, done in result.watches.items():
        click.echo(f"{name}: {counted(done.steps, 'look')}, {done.worked} with work, {done.failures} failed")
    for name, why in result.ended.items():
        click.echo(f"{name}: ended by itself: {why}", err=True)
    for name in result.unfinished:
        click.echo(f"{name}: was still at work; start it again, it goes on where it stopped", err=True)
