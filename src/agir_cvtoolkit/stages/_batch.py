"""The batch that was chosen: what of a run goes to the annotators."""

from __future__ import annotations

from contextlib import suppress

from agir_cvtoolkit.errors import NoRunError
from agir_cvtoolkit.records import ManifestEntry
from agir_cvtoolkit.runs import Run, read_manifest_file

from ._candidates import Batch

FOLDER = "select"
_PLACES = (f"history/select/*/{FOLDER}", FOLDER)
BATCH, CHOICES, SUMMARY = "batch.jsonl", "choices.csv", "selection.json"


def has_batch(run: Run) -> bool:
    """Whether a batch was chosen."""
    return run.path(FOLDER, BATCH).is_file()


def entries_to_push(run: Run) -> list[ManifestEntry]:
    """Return what goes to the annotators: the batch that was chosen, by rank, else all that was predicted.

    Raises:
        NoRunError: nothing was predicted.
        DataError: a line is damaged.
    """
    return read_manifest_file(run.path(FOLDER, BATCH)) if has_batch(run) else run.read_manifest()


def known_entries(run: Run) -> list[ManifestEntry]:
    """Return what was predicted, and the regions of it that any batch held.

    Raises:
        NoRunError: there is neither.
        DataError: a line is damaged.
    """
    found: list[ManifestEntry] = []
    with suppress(NoRunError):
        found += run.read_manifest()
    regions = {
        entry.record_id: entry
        for place in _PLACES
        for path in sorted(run.root.glob(f"{place}/{BATCH}"))
        for entry in read_manifest_file(path)
        if entry.region_of is not None
    }
    if not found and not regions:
        return run.read_manifest()
    return [*found, *regions.values()]


def only_chosen(batch: Batch, run: Run) -> Batch:
    """Leave of candidates that were not read from the batch those that are in it."""
    if not has_batch(run):
        return batch
    chosen = {entry.record_id for entry in entries_to_push(run)}
    kept = tuple(one for one in batch.candidates if one.record_id in chosen)
    items = tuple(item for item in batch.items if item.record_id in chosen)
    failed = sum(item.outcome == "failed" for item in items)
    total = sum(one.units for one in kept) + len(items)
    return Batch(kept, items, total, len(items) - failed, failed, batch.labels)
