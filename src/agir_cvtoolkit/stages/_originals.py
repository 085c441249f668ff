"""Where the original of a record lies: the pixels that people saw and models are trained on."""

from __future__ import annotations

from pathlib import Path

from ..pictures import sha256_of
from ..records import file_stem
from ..runs import Run

_PLACES = ("images/{stem}.*", "history/infer-seg/*/images/{stem}.*", "cvat_downloads/*/images/{stem}.*")


def find_original(run: Run, record_id: str, sha256: str | None) -> Path | None:
    """Find a record's original in a run.

    Args:
        run: where to look.
        record_id: of the record.
        sha256: that the file must have; None takes the first of that name.

    Returns:
        The file, or None.
    """
    stem = _quoted(file_stem(record_id))
    for place in _PLACES:
        for path in sorted(run.root.glob(place.format(stem=stem))):
            if path.stem == file_stem(record_id) and (sha256 is None or sha256_of(path) == sha256):
                return path
    return None


def _quoted(stem: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in stem)
