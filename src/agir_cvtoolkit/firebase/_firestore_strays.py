"""Captures in Firestore that no queue offers, whatever others have written into them, and how they are mended."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from typing import Any

from agir_cvtoolkit.captures import CAPTURE_STATUSES

from ._calls import Calls
from ._documents import Update, read, update_all
from ._lease import Change, applied, lease_mended, queue_floor
from ._paging import count, pages
from ._values import moment
from .documents import capture_from_document, is_offered, written_status

_LONG_PAGE = 1000
_FEW = 10_000
_COUNT_ALL_EVERY_S = 900.0


class StrayDocuments:
    """The documents of captures without a status, priority, time or end of their lease that a query finds.

    Args:
        client: Google's.
        name: of the collection.
        threshold: `upload_threshold`, which priorities are reckoned from.
        put_picture: puts a picture in by the capture's id.
    """

    def __init__(
        self,
        client: Any,
        name: str,
        calls: Calls,
        threshold: float,
        put_picture: Callable[[str, bytes], None],
    ) -> None:
        self._client = client
        self._collection = client.collection(name)
        self._calls = calls
        self._threshold = threshold
        self._put_picture = put_picture
        self._count_all_from = 0.0
        self._foreign = 0

    def adopt(self) -> tuple[str, ...]:
        """Mend them, and return the ids of their captures."""
        return tuple(self._adopted(snapshot) for snapshot in [*self._strays()] if self._mend(snapshot))

    def _strays(self) -> Iterator[Any]:
        """Yield captures that no queue offers; counting tells at little cost whether there are any."""
        what = "look for captures that no queue offers"
        if time.monotonic() >= self._count_all_from:
            every = count(self._calls, what, self._collection)
            # Counting is billed by the thousand, so a large collection is not counted at each look.
            self._count_all_from = time.monotonic() + (_COUNT_ALL_EVERY_S if every > _FEW else 0.0)
            known = self._where("status", "in", list(CAPTURE_STATUSES))
            unknown = every - count(self._calls, what, known)
            # Foreign words stay: only when there are others is everything read again.
            if unknown > 0 and unknown != self._foreign:
                self._foreign = yield from self._unknown(what)
            yield from self._endless(what)
        waiting = self._where("status", "==", "pending")
        offered = waiting.where(filter=_filter("priority", ">=", queue_floor(1)))
        offered = offered.order_by("priority", direction="DESCENDING").order_by("timestamp")
        if count(self._calls, what, waiting) > count(self._calls, what, offered):
            yield from self._missing(what, waiting, lambda document: not is_offered(document))

    def _unknown(self, what: str) -> Generator[Any, None, int]:
        """Yield captures whose status is none, or is written differently; return how many have a foreign word."""
        foreign = 0

        def is_stray(document: dict[str, Any]) -> bool:
            nonlocal foreign
            foreign += written_status(document) is None
            return document.get("status") != written_status(document) is not None

        yield from self._missing(what, self._collection, is_stray)
        return foreign

    def _endless(self, what: str) -> Iterator[Any]:
        """Yield captures whose lease ends at no time: in Firestore's order of types these stand beside all times."""
        ordered = self._collection.order_by("claimedUntil")
        first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        for query in (
            ordered.end_before({"claimedUntil": first}),
            ordered.start_after({"claimedUntil": last}),
        ):
            if count(self._calls, what, query) > 0:
                for page in pages(self._calls, what, query, size=_LONG_PAGE):
                    yield from page

    def _missing(self, what: str, query: Any, is_stray: Callable[[dict[str, Any]], bool]) -> Iterator[Any]:
        light = query.select(["status", "priority", "timestamp"]).order_by("__name__")
        for page in pages(self._calls, what, light, size=_LONG_PAGE):
            keys = [snapshot.id for snapshot in page if is_stray(snapshot.to_dict())]
            references = [self._collection.document(key) for key in keys]
            there = read(self._calls, "read captures", self._client, references)
            yield from (snapshot for snapshot in there if snapshot.exists)

    def _mend(self, snapshot: Any) -> bool:
        from google.cloud.firestore import DELETE_FIELD

        from .normalised import normalised

        made, document = moment(snapshot.create_time), snapshot.to_dict()
        lease = lease_mended(document) or Change()
        change = normalised(snapshot.id, applied(document, lease), self._threshold, made)
        removed = (*lease.removed, *change.removed)
        fields = {**lease.fields, **change.fields, **dict.fromkeys(removed, DELETE_FIELD)}
        if not fields:
            return False
        if change.picture is not None:
            self._put_picture(snapshot.id, change.picture)
        return bool(update_all(self._calls, "adopt captures", self._client, [Update(snapshot, fields)]))

    def _adopted(self, snapshot: Any) -> str:
        return capture_from_document(snapshot.id, snapshot.to_dict(), self._threshold).capture_id

    def _where(self, name: str, operator: str, value: Any) -> Any:
        return self._collection.where(filter=_filter(name, operator, value))


def _filter(name: str, operator: str, value: Any) -> Any:
    from google.cloud.firestore import FieldFilter

    return FieldFilter(name, operator, value)
