"""How pictures look: their perceptual hashes, measured once and kept in the ledger."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from agir_cvtoolkit.errors import AgirError
from agir_cvtoolkit.ledger import Ledger, PictureHash
from agir_cvtoolkit.pictures import glance, load_small
from agir_cvtoolkit.progress import Progress
from agir_cvtoolkit.similarity.hashing import perceptual_hash

from ._ahead import ahead

_log = logging.getLogger(__name__)
_SIDE = 128
"""Decoded to so many pixels: nearer to the hash of the full picture, which preprocess measures, by a bit or two."""
_KEPT_AT_ONCE = 500


def looks_of(pictures: Mapping[str, Path], ledger: Ledger, progress: Progress) -> dict[str, int]:
    """Return the perceptual hashes of pictures; those that nobody has measured are measured and kept.

    Args:
        pictures: file by content.
        ledger: opened to read, it is told nothing.
        progress: one step per picture that is measured.

    Returns:
        hashes by content; pictures that cannot be read are left out.
    """
    known = ledger.perceptual_hashes(pictures)
    found = {sha256: phash for sha256, phash in known.items() if phash is not None}
    missing = {sha256: path for sha256, path in pictures.items() if sha256 not in found}
    new: list[PictureHash] = []
    with progress.bar("looks", len(missing)) as bar:
        work = ((pair, partial(_measured, *pair)) for pair in missing.items())
        for (sha256, path), outcome in ahead(work, 2):
            bar.advance()
            try:
                measured = outcome.result() if outcome else _measured(sha256, path)
            except AgirError as error:
                _log.warning("%s", error)
                continue
            new.append(measured)
            found[sha256] = measured.phash
            if len(new) >= _KEPT_AT_ONCE:
                ledger.record_hashes(new)
                new = []
    ledger.record_hashes(new)
    return found


def _measured(sha256: str, path: Path) -> PictureHash:
    size = glance(path).size
    return PictureHash(sha256, *size, perceptual_hash(load_small(path, _SIDE)))
