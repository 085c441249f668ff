"""Perceptual hashes of pictures, by the SHA-256 of their files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, bindparam, insert, select, update

from . import _tables as t
from ._model_rows import PictureHash
from ._part import LedgerPart, now

_AT_ONCE = 500
"""So many values go into one question; databases bound their number."""


class PictureHashes(LedgerPart):
    """How pictures look, as far as it was ever measured."""

    def record_hashes(self, pictures: Iterable[PictureHash]) -> None:
        """Record the perceptual hash of pictures, also of those that were never predicted on."""
        wanted = {picture.sha256: picture for picture in pictures}
        table = t.images
        with self._begin() as connection:
            known = _known(connection, wanted)
            new = [
                {
                    "sha256": sha256,
                    "width": picture.width,
                    "height": picture.height,
                    "first_seen": now(),
                    "phash": _text(picture.phash),
                }
                for sha256, picture in wanted.items()
                if sha256 not in known
            ]
            changed = [
                {"of": sha256, "hash": _text(picture.phash)}
                for sha256, picture in wanted.items()
                if sha256 in known and known[sha256] != picture.phash
            ]
            if new:
                connection.execute(insert(table), new)
            if changed:
                step = update(table).where(table.c.sha256 == bindparam("of")).values(phash=bindparam("hash"))
                connection.execute(step, changed)

    def perceptual_hashes(self, sha256s: Iterable[str]) -> dict[str, int | None]:
        """Return the hash of each picture, None where it is not known."""
        wanted = list(sha256s)
        with self._begin() as connection:
            known = _known(connection, wanted)
        return {sha256: known.get(sha256) for sha256 in wanted}


def _known(connection: Connection, sha256s: Iterable[str]) -> dict[str, int | None]:
    table = t.images
    found: dict[str, int | None] = {}
    for some in _portions(list(sha256s)):
        rows = connection.execute(select(table.c.sha256, table.c.phash).where(table.c.sha256.in_(some)))
        found |= {str(sha256): None if phash is None else int(phash, 16) for sha256, phash in rows}
    return found


def _portions(values: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]


def _text(phash: int) -> str:
    return f"{phash:016x}"
