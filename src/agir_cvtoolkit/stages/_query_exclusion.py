"""Which records a query leaves out, as the ledger knows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import QueryError, did_you_mean

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.sources.exclusion import Exclusion

REASONS = ("labelled", "pushed")


def exclusion_for(reasons: Sequence[str], settings: Settings, image_column: str) -> Exclusion | None:
    """Return what to leave out, None without a reason.

    Args:
        reasons: ``labelled``: came back from a finished job; ``pushed``: lies in a task.
        settings: name the ledger.
        image_column: the column with the id of a row's picture.

    Raises:
        QueryError: there is no such reason.
        LedgerError: the ledger cannot be read.
    """
    names = tuple(dict.fromkeys(reason.strip().lower() for reason in reasons))
    for name in names:
        if name not in REASONS:
            near = did_you_mean(name, REASONS)
            raise QueryError(f"--exclude {name} is unknown", f"{near} Known: {', '.join(REASONS)}.".strip())
    if not names:
        return None
    from agir_cvtoolkit.ledger import Ledger
    from agir_cvtoolkit.sources.exclusion import Exclusion

    found: set[str] = set()
    with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
        if "labelled" in names:
            found |= ledger.labelled_records()
        if "pushed" in names:
            found |= ledger.pushed_records()
    return Exclusion.of(names, found, image_column)
