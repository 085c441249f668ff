"""Where the original of a record lies: the pixels that people saw and models are trained on."""

from __future__ import annotations

from pathlib import Path

from agir_cvtoolkit.pictures import sha256_of
from agir_cvtoolkit.records import file_stem
from agir_cvtoolkit.runs import Run

_PLACES = ("images/{stem}.*", "history/infer-seg/*/images/{stem}.*", "cvat_downloads/*/images/{stem}.*")


def find_original(run: Run, record_id: str, sha256: str | None, task_folder: Path) -> Path | None:
    """Find a record's original in a run.

    Args:
        run: where to look.
        record_id: of the record.
        sha256: that the file must have; None where it is not known: then only what was fetched from the task
            itself is its picture, whatever else in the run has that name.
        task_folder: of the pulled task.

    Returns:
        The file, or None.
    """
    stem = file_stem(record_id)
    fetched = [p for p in sorted((task_folder / "images").glob(f"{_quoted(stem)}.*")) if p.stem == stem]
    if sha256 is None:
        return fetched[0] if fetched else None
    for place in _PLACES:
        for path in sorted(run.root.glob(place.format(stem=_quoted(stem)))):
            if path.stem == stem and sha256_of(path) == sha256:
                return path
    return None


def _quoted(stem: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in stem)
