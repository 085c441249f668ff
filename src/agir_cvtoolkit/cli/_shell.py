"""What every command shares: its options, its output, its exit code."""

from __future__ import annotations

import dataclasses
import errno
import functools
import json
import logging
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from agir_cvtoolkit.errors import AgirError, UsageError

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call

R = TypeVar("R")
_log = logging.getLogger("agir_cvtoolkit")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@dataclasses.dataclass(frozen=True)
class Shell:
    """The common options of one call of a command."""

    overrides: tuple[str, ...]
    config: str | None
    run_id: str | None
    dry_run: bool
    as_json: bool
    verbose: bool
    quiet: bool

    def run(self, stage: Callable[[Call], R], show: Callable[[R], None], *, configured: bool = True) -> None:
        """Call a stage, print what it returns and leave with its exit code.

        Args:
            stage: imports and calls the stage with the `Call`; returns a dataclass.
            show: prints the result for people; not called under ``--json``.
            configured: the configuration is checked before the stage, and with it all that is heavy, is
                imported.
        """
        self._log_to_stderr()
        try:
            call = self._call()
            if configured:
                call.settings()
            elif self.overrides or self.config or self.run_id:
                raise UsageError("this command has no settings", "Remove -o, --config and --run.")
            result = stage(call)
            if self.as_json:
                click.echo(json.dumps(plain(result), indent=2, ensure_ascii=False))
            else:
                show(result)
        except AgirError as error:
            self._fail(error, error.exit_code)
        except (BrokenPipeError, click.ClickException, click.exceptions.Exit):
            raise
        except Exception as error:  # noqa: BLE001 - the last line of defence: one clean line, a traceback on demand
            self._fail(error, 1)
        else:
            sys.exit(getattr(result, "exit_code", 0))

    def _call(self) -> Call:
        from agir_cvtoolkit.stages import Call

        from ._progress import progress_on

        return Call(
            overrides=self.overrides,
            config=self.config,
            run=self.run_id,
            dry_run=self.dry_run,
            command_line=(Path(sys.argv[0]).name, *sys.argv[1:]),
            progress=progress_on(sys.stderr, hidden=self.quiet),
        )

    def _log_to_stderr(self) -> None:
        level = logging.DEBUG if self.verbose else logging.ERROR if self.quiet else logging.WARNING
        handler = logging.StreamHandler()
        handler.setLevel(level)
        handler.setFormatter(_Redacting("%(levelname)s: %(message)s"))
        _log.setLevel(logging.DEBUG)
        _log.handlers = [handler]
        _log.propagate = False

    def _fail(self, error: Exception, code: int) -> None:
        from agir_cvtoolkit.config import redacted

        if self.verbose and not isinstance(error, AgirError):
            _log.error("traceback", exc_info=error)
        elif self.verbose:
            _log.debug("traceback", exc_info=error)
        problem, next_step = _explained(error)
        if self.as_json:
            echo_json_error(type(error).__name__, problem, next_step)
        text = str(AgirError(problem, next_step))
        if not _is_a_name(text.split(" ", 1)[0]):
            text = f"{text[:1].upper()}{text[1:]}"
        click.echo(harmless(redacted(f"Error: {text}")), err=True)
        sys.exit(code)


def _is_a_name(word: str) -> bool:
    """Whether a sentence begins with a key, a path, or what the user has called something: it keeps its spelling."""
    given = {part for text in sys.argv[1:] for part in (text, Path(text).name, text.partition("=")[2])}
    return not word.isalpha() or word in given or Path(word).exists()


def echo_json_error(kind: str, problem: str, next_step: str) -> None:
    """Print an error as a JSON object on stdout, for programs that read the result."""
    from agir_cvtoolkit.config import redacted

    content = {"error": {"problem": redacted(problem), "next_step": redacted(next_step), "kind": kind}}
    click.echo(json.dumps(content, indent=2, ensure_ascii=False))


def _explained(error: Exception) -> tuple[str, str]:
    if isinstance(error, AgirError):
        return error.problem, error.next_step
    if isinstance(error, OSError) and error.strerror and (error.filename or error.errno in _NO_ROOM):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}", "Check the path, its permissions and the free space."
    next_step = "This is a bug; run again with --verbose and report the traceback."
    return f"unexpected {type(error).__name__}: {error}", next_step


class _Redacting(logging.Formatter):
    """Keeps secrets out of the log, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        from agir_cvtoolkit.config import redacted

        return harmless(redacted(super().format(record)))


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that every command has; its function gets a `Shell` first."""

    @click.option(
        "-o", "--override", "overrides", multiple=True, metavar="KEY=VALUE", help="Set group.key=value."
    )
    @click.option(
        "--config", default=None, metavar="DIR|NAME", help="Folder instead of conf/, or a file in it."
    )
    @click.option(
        "--run", "run_id", default=None, metavar="ID", help="Work on this run instead of the current one."
    )
    @click.option("--dry-run", is_flag=True, help="Say what would happen; change nothing.")
    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @click.option("--verbose", is_flag=True, help="Log more; show tracebacks.")
    @click.option("--quiet", is_flag=True, help="Log errors only; no progress bars.")
    @functools.wraps(function)
    def wrapped(**options: Any) -> None:
        names = [f.name for f in dataclasses.fields(Shell)]
        shell = Shell(**{name: options.pop(name) for name in names})
        if shell.verbose and shell.quiet:
            raise click.UsageError("--verbose and --quiet exclude each other.")
        function(shell, **options)

    return wrapped


def echo_items(items: tuple[Any, ...], limit: int = 20, rest: str = "all are in metrics.json") -> None:
    """Print the records that were skipped or failed, with the reason, on stderr."""
    for item in items[:limit]:
        click.echo(harmless(f"  {item.outcome}: {item.record_id}: {item.reason}"), err=True)
    if len(items) > limit:
        click.echo(f"  ... and {len(items) - limit} more; {rest}", err=True)


def harmless(text: str) -> str:
    """Return a text with what a terminal would obey written out: devices and annotators choose some of the words."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


def plain(value: Any) -> Any:
    """Return a result as values that JSON can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.repr}
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    return str(value)
