"""Whole numbers in a server's answers, of which everything else depends: believed only within reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agir_cvtoolkit.errors import ServerFaultError

LARGEST_ID = 2**63 - 1
MOST_FRAMES = 10_000_000
"""Frames of one task: beyond that a number is a mistake, and a list of them would fill the memory."""


def whole_number(
    item: Mapping[str, Any], name: str, of: str, *, most: int, least: int = 0, missing: int | None = None
) -> int:
    """Return a whole number of an answer; ``"5"`` and ``5.0`` are as good as 5.

    Args:
        item: of the answer.
        name: of the number in it.
        of: what it belongs to, for messages.
        most: largest value that makes sense.
        least: smallest one.
        missing: what is meant where it is absent; None where it must be there.

    Raises:
        ServerFaultError: it is no such number.
    """
    value = item.get(name)
    if value is None and missing is not None:
        return missing
    try:
        found = int(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        found = None
    if found is None or not least <= found <= most or (isinstance(value, float) and found != value):
        raise ServerFaultError(
            f"The server says of {of} that its {name} is {str(value)[:100]!r}, which makes no sense",
            "Open it in CVAT; run the same command again, and if it stays, leave it out (cvat_download.task_ids).",
        )
    return found
