"""What tells two results of a query apart without keeping either."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

from agir_cvtoolkit.records import FieldValue

Row = Sequence[FieldValue]


class IdDigest:
    """SHA-256 over the ids of rows in their order, taken while the rows pass.

    Args:
        index: where in a row the id stands.
    """

    def __init__(self, index: int) -> None:
        self._index = index
        self._hash = hashlib.sha256()
        self.count = 0

    def through(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield rows, and take note of each."""
        for row in rows:
            self._hash.update(f"{row[self._index]}\n".encode("utf-8", "surrogatepass"))
            self.count += 1
            yield row

    @property
    def hexdigest(self) -> str:
        """The digest of the rows so far."""
        return self._hash.hexdigest()
