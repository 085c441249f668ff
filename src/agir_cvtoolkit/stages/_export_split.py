"""On which side of a division a record is that is exported."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from agir_cvtoolkit.errors import NoRunError, UsageError
from agir_cvtoolkit.runs import Run, read_json_object

from ._batch import known_entries

SIDES = ("train", "val", "test")
_NEXT = "Write none, run, or shares such as 80/10/10."


Side = Callable[[str, Callable[[], str | None]], str | None]
"""Tells the side of a record, given its name and what gives the SHA-256 of its picture, None where nobody knows it."""


def split_of(run: Run, wanted: str) -> Side:
    """Return what tells the side of a record.

    Args:
        run: whose data set may be divided already.
        wanted: ``none``; ``run``: as the data set of the run is divided, records that are not in it on no side; or
            shares of train, val and test, by which each record is dealt by what its picture holds, so that it stays on
            its side whatever else is exported, and so do copies of it under other names.

    Raises:
        UsageError: it is none of these.
        NoRunError: the run has no data set.
    """
    if wanted == "none":
        return lambda _record, _content: None
    if wanted == "run":
        return _of_data_set(run)
    try:
        shares = [float(part) for part in wanted.split("/")]
    except ValueError as error:
        raise UsageError(f"'{wanted}' is no split", _NEXT) from error
    total = sum(shares)
    if not 2 <= len(shares) <= 3 or not 0 < total < float("inf") or any(share < 0 for share in shares):
        raise UsageError(f"'{wanted}' is no split", _NEXT)

    def dealt(record_id: str, content: Callable[[], str | None]) -> str | None:
        digest = hashlib.sha256((content() or record_id).encode("utf-8", "surrogatepass")).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64 * total
        for side, share in zip(SIDES, shares, strict=False):
            place -= share
            if place < 0:
                return side
        return SIDES[0]

    return dealt


def _of_data_set(run: Run) -> Side:
    content = read_json_object(run.path("dataset", "splits.json"))
    groups: Any = content.get("groups")
    if not isinstance(groups, dict):
        raise NoRunError(f"run {run.run_id} has no data set", "Make it: agir-cvtoolkit preprocess")
    side_of = {str(name): side for side in SIDES for name in groups.get(side, ())}
    group_of: dict[str, str] = {}
    with suppress(NoRunError):
        for entry in known_entries(run):
            group = entry.label_values.get("image_id") or entry.source_path
            group_of[entry.record_id] = str(group) if group else entry.region_of or entry.record_id
    return lambda record_id, _content: side_of.get(group_of.get(record_id, record_id), side_of.get(record_id))
