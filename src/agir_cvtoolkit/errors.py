"""Everything that can go wrong, as one tree.

Each error names its subject and the next step; its class decides the exit code of the command line::

    AgirError
    ├── UsageError                 2  the call or the configuration is wrong
    │   ├── ConfigError               unknown key, wrong type, impossible value
    │   ├── MissingExtraError         an optional library is not installed
    │   ├── NoRunError                no current run, or a stage before this one has not run
    │   └── QueryError                a filter, sample, sort or column that cannot be understood
    ├── RemoteError                3  the other side failed or refused
    │   ├── ServerUnreachableError    no connection, cut connection, time-out, certificate
    │   ├── AuthenticationError       wrong credentials, expired or read-only token
    │   ├── NotFoundError             project, task, job or organization does not exist or is hidden
    │   │   └── GoneError             one that was listed a moment ago and was deleted since
    │   ├── RefusedError              the server understood and said no (400, 403, 409, 413, 415)
    │   ├── ThrottledError            too many requests, still after waiting
    │   ├── ServerFaultError          5xx or an answer that is not what the API promises
    │   └── DeadlineError             the server did not finish in time
    ├── DataError                  4  a check of data failed
    │   ├── PictureError              not a picture, truncated, too large, vanished
    │   ├── MaskError                 unreadable, of another size, runs that do not fit
    │   ├── ShapeError                a shape that CVAT must not be given
    │   ├── LabelError                a label that the project or task does not have
    │   ├── FrameMapError             the server's frames are not the pictures that were sent
    │   ├── CheckpointError           not a checkpoint of ours, damaged, of another architecture
    │   ├── DatabaseError             locked, damaged, not a database, without the table
    │   └── LedgerError               damaged, or written by a newer version
    └── InterruptedByUser        130  Ctrl-C
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class AgirError(Exception):
    """Root of all errors of this package.

    Attributes:
        problem: what is wrong, with its subject named in it; the next step gets a line of its own below several.
        next_step: what the reader should do about it; may be empty.
    """

    exit_code = 1

    def __init__(self, problem: str, next_step: str = "") -> None:
        super().__init__(problem, next_step)
        self.problem = problem
        self.next_step = next_step

    def __str__(self) -> str:
        if "\n" in self.problem:
            return f"{self.problem}\n{self.next_step}".strip()
        end = "" if self.problem.endswith((".", "?", "!", ":")) or not self.next_step else "."
        return f"{self.problem}{end} {self.next_step}".strip()


class UsageError(AgirError):
    """The call or the configuration is wrong."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration key is unknown, or its value has the wrong type or is impossible."""


class MissingExtraError(UsageError):
    """An optional library is not installed.

    Args:
        feature: what needs it, in the user's words.
        extra: the name of the extra of this package that brings it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs an optional part that is not installed",
            f"Install it with: pip install 'agir-cvtoolkit[{extra}]'",
        )


class NoRunError(UsageError):
    """There is no current run, or a stage that must come before has not run in it."""


class QueryError(UsageError):
    """A filter, sample, sort or column that cannot be understood."""


class RemoteError(AgirError):
    """The other side failed or refused.

    Attributes:
        status: the HTTP status, where there was one.
    """

    exit_code = 3

    def __init__(self, problem: str, next_step: str = "", *, status: int | None = None) -> None:
        super().__init__(problem, next_step)
        self.status = status


class ServerUnreachableError(RemoteError):
    """No connection, a cut connection, a time-out or a certificate that does not verify."""


class AuthenticationError(RemoteError):
    """Wrong credentials, or a token that is expired or may not do this."""


class NotFoundError(RemoteError):
    """A project, task, job or organization that does not exist or is hidden from this account."""


class GoneError(NotFoundError):
    """A project, task or job that was listed a moment ago and was deleted since."""


class RefusedError(RemoteError):
    """The server understood the request and said no."""


class ThrottledError(RemoteError):
    """Too many requests, still after waiting as long as the server asked for."""


class ServerFaultError(RemoteError):
    """The server failed, or its answer is not what its interface promises."""


class DeadlineError(RemoteError):
    """The server did not finish in time."""


class DataError(AgirError):
    """A check of data failed."""

    exit_code = 4


class PictureError(DataError):
    """Not a picture, truncated, too large or vanished."""


class MaskError(DataError):
    """A mask that cannot be read, has another size than its picture, or whose runs do not fit."""


class ShapeError(DataError):
    """A shape that CVAT must not be given."""


class LabelError(DataError):
    """A label that the project or task does not have."""


class FrameMapError(DataError):
    """The server's frames are not the pictures that were sent."""


class CheckpointError(DataError):
    """Not a checkpoint of this package, damaged, or of another architecture."""


class DatabaseError(DataError):
    """A database that is locked, damaged, not a database, or lacks the table."""


class LedgerError(DataError):
    """The ledger is damaged or was written by a newer version."""


class InterruptedByUser(AgirError):  # noqa: N818 - an interruption is no error
    """The user pressed Ctrl-C."""

    exit_code = 130


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"Did you mean 'x'?"`` for the known word nearest to `word`, or an empty string."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"Did you mean '{near[0]}'?" if near else ""
