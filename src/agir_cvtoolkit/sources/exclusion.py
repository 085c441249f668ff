"""Records that a query leaves out although its filters let them pass."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from .dialects import listed
from .table import Kind, Source

_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True)
class Exclusion:
    """Records that are left out.

    Attributes:
        reasons: why, such as ``labelled``.
        record_ids: in order; a row is left out when its own id or that of its picture is among them.
        image_column: the column with the id of a row's picture; may be one that the table lacks.
    """

    reasons: tuple[str, ...]
    record_ids: tuple[str, ...]
    image_column: str = "image_id"

    @classmethod
    def of(cls, reasons: Sequence[str], record_ids: Iterable[str], image_column: str) -> Exclusion:
        """Return the exclusion of some records, whatever their order."""
        return cls(tuple(reasons), tuple(sorted(set(record_ids))), image_column)

    @property
    def digest(self) -> str:
        """SHA-256 over the ids, each on a line."""
        return hashlib.sha256("".join(f"{name}\n" for name in self.record_ids).encode()).hexdigest()

    def described(self) -> dict[str, object]:
        """Return the exclusion as JSON-like values, without the ids."""
        return {"reasons": list(self.reasons), "records": len(self.record_ids), "sha256": self.digest}

    def condition(self, source: Source) -> sa.ColumnElement[Any]:
        """Return what a row that is not left out fulfils."""
        names = [name for name in (source.id_column, self.image_column) if name in source.kinds]
        kept: list[sa.ColumnElement[Any]] = []
        for name in dict.fromkeys(names):
            values = _stored(source.kinds[name], self.record_ids)
            if values:
                column = source.column(name)
                kept.append(sa.or_(column.is_(None), sa.not_(listed(column, values))))
        return sa.and_(sa.true(), *kept)


def _stored(kind: Kind, record_ids: Sequence[str]) -> Sequence[str | int]:
    if kind in {"integer", "number"}:
        return [int(name) for name in record_ids if _WHOLE.fullmatch(name)]
    return record_ids
