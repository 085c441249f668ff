"""A push held against everybody else: on this machine by a lock file, on others by the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.ledger import Ledger, PushKey
from agir_cvtoolkit.runs import Run


@contextmanager
def hold_push(ledger: Ledger, out_root: Path, key: PushKey, refusal: UsageError) -> Iterator[None]:
    """Hold a push, which two runs may share by its name, and two machines by their ledger.

    Args:
        ledger: where the push is recorded.
        out_root: the folder of all runs.
        key: of the push.
        refusal: raised when another process holds it.

    Raises:
        UsageError: another process holds it.
        LedgerError: the ledger's server cannot be reached.
    """
    with ExitStack() as held:
        try:
            held.enter_context(Run(key.name, out_root).lock(f"push-{key.push_id}"))
        except UsageError as error:
            raise refusal from error
        try:
            held.enter_context(ledger.hold(f"push {key.push_id}"))
        except UsageError as error:
            raise UsageError(f"{refusal.problem}: {error.problem}", refusal.next_step) from error
        yield
