"""What a database says when it cannot be used, in words that name the ledger and the next step."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from agir_cvtoolkit.errors import LedgerError

_RESTORE = "Restore a backup or move the file away."

_NEXT = (
    (("disk is full", "no space left", "53100"), "Make room there, then run the same command again."),
    (
        ("locked", "lock timeout", "55p03"),
        "Another program writes to it; wait until that has ended, then run the same command again.",
    ),
    (
        ("readonly", "unable to open"),
        "Check the permissions of the file and of its folder, and whether it is a file.",
    ),
    (
        ("authentication failed", "no password supplied", "28p01", "28000"),
        "Correct the user in io.ledger_url; the password is taken from PGPASSWORD or ~/.pgpass as well.",
    ),
    (("does not exist", "3d000"), "Make it (createdb), or correct io.ledger_url."),
    (
        ("permission denied", "42501"),
        "Let the user make and change tables there, or give it a schema of its own.",
    ),
    (("read-only transaction", "25006"), "Name the primary server in io.ledger_url; this one only follows."),
    (
        (
            "connection refused",
            "connection failed",
            "connection timeout",
            "timeout expired",
            "could not connect",
            "connection is closed",
            "the connection is lost",
            "server closed the connection",
            "terminating connection",
            "resolve host",
            "failed to resolve",
            "too many clients",
            "too many connections",
            "starting up",
        ),
        "Check that the server runs and that io.ledger_url names it, then run the same command again.",
    ),
)
"""Signs of a problem, in lower case, and what to do about it; the first that fits counts."""

_UNDEFINED = ("42p01", "42703", "no such table", "no such column")
"""PostgreSQL's codes for a table and a column that are not there, and SQLite's words."""


def failed(where: str, error: SQLAlchemyError) -> LedgerError:
    """Return the error that names a ledger and what is wrong with it."""
    reason = type(error).__name__
    state = ""
    if isinstance(error, DBAPIError) and error.orig:
        state = str(getattr(error.orig, "sqlstate", None) or "")
        reason = first_line(str(error.orig))
    verb = "cannot grow" if "disk is full" in reason else "cannot be used"
    problem = f"the ledger {where} {verb}: {reason}"
    signs = f"{reason.lower()} {state.lower()}"
    if any(sign in signs for sign in _UNDEFINED):
        return LedgerError(problem, "See what is missing: agir-cvtoolkit ledger check")
    next_step = next((step for words, step in _NEXT if any(word in signs for word in words)), None)
    return LedgerError(problem, next_step or _RESTORE)


def first_line(text: str) -> str:
    """Return the first line that says anything, without the blanks around it."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")
