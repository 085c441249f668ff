"""One pass of predictions over records: what ``infer-seg`` and ``infer-pose`` do alike."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agir_cvtoolkit.errors import AgirError, DataError, PictureError, UsageError
from agir_cvtoolkit.progress import Progress, Silent
from agir_cvtoolkit.records import Item, ManifestEntry, Record
from agir_cvtoolkit.runs import Run, StagePass, discard

if TYPE_CHECKING:
    from agir_cvtoolkit.engines import Engine, Work

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a pass did, or in a dry run would do.

    Attributes:
        run_id, run_root: of the run; None where a dry run would start one.
        total: records.
        predicted: of them, those in the manifest (in a dry run: those that would be).
        kept: of the predicted, those that an earlier call of the same pass had finished.
        skipped: pictures that could not be loaded, and records beyond the edge occupancy threshold.
        failed: records with any other fault.
        items: one entry for each skipped and failed record.
        model: name and version.
        already_done: every record had been finished before; nothing was changed.
    """

    run_id: str | None
    run_root: Path | None
    total: int
    predicted: int
    kept: int
    skipped: int
    failed: int
    items: tuple[Item, ...]
    model: str
    dry_run: bool = False
    already_done: bool = False

    @property
    def exit_code(self) -> int:
        """0, 1 where records were skipped or failed, 4 where no record could be predicted."""
        if not self.items:
            return 0
        return 1 if self.predicted else DataError.exit_code


@dataclass(frozen=True)
class Passed:
    """A pass that has come to its end.

    Attributes:
        entries: lines of the manifest, in the order of the records.
        items: what is listed of skipped and failed records.
        kept: how many entries an earlier call had made.
        stage_pass: to be finished, unless `already_done`.
        already_done: an earlier call had done everything.
    """

    entries: tuple[ManifestEntry, ...]
    items: tuple[Item, ...]
    kept: int
    stage_pass: StagePass
    already_done: bool

    def counts(self, run: Run, total: int, model: str) -> dict[str, Any]:
        """Return the fields of `Predictions`."""
        return {
            "run_id": run.run_id,
            "run_root": run.root,
            "total": total,
            "predicted": len(self.entries),
            "kept": self.kept,
            "skipped": sum(item.outcome == "skipped" for item in self.items),
            "failed": sum(item.outcome == "failed" for item in self.items),
            "items": self.items,
            "model": model,
            "already_done": self.already_done,
        }

    def metrics(self, total: int, model: str) -> dict[str, Any]:
        """Return what ``metrics.json`` says of every pass."""
        total_ms = sum(entry.inference_time_ms for entry in self.entries)
        return {
            "total_records": total,
            "processed": len(self.entries),
            "skipped": sum(item.outcome == "skipped" for item in self.items),
            "failed": sum(item.outcome == "failed" for item in self.items),
            "total_inference_time_ms": round(total_ms, 3),
            "avg_inference_time_ms": round(total_ms / len(self.entries), 3) if self.entries else 0.0,
            "model": model,
            "items": [asdict(item) for item in self.items],
        }


def planned(run: Run | None, records: Sequence[Record], model: str) -> dict[str, Any]:
    """Return the fields of `Predictions` for a dry run: looks at the headers of the pictures and changes nothing."""
    from agir_cvtoolkit.pictures import glance, named

    items = []
    for record in records:
        try:
            glance(named(record.image_path))
        except PictureError as error:
            items.append(_unloadable(record, error))
    return {
        "run_id": run.run_id if run else None,
        "run_root": run.root if run else None,
        "total": len(records),
        "predicted": len(records) - len(items),
        "kept": 0,
        "skipped": len(items),
        "failed": 0,
        "items": tuple(items),
        "model": model,
        "dry_run": True,
    }


def predict_pass(
    run: Run,
    stage_pass: StagePass,
    records: Sequence[Record],
    work: Work[Record, ManifestEntry | Item],
    engine: Engine,
    progress: Progress | None = None,
) -> Passed:
    """Predict records into a run, going on where an earlier call of the same pass stopped.

    Entries are appended to the manifest in the order of the records, whatever the engine.

    Args:
        run: where the results go.
        stage_pass: begun.
        records: in the order in which they are predicted; a doubled record id fails.
        work: what is done with each; files are written by it.
        engine: where that runs.
        progress: one step per record.

    Raises:
        UsageError: the work cannot be done at all as it is configured.
    """
    finished = _finished(run)
    wanted, items = _unique(records)
    pending = [record for record in wanted if record.record_id not in finished]
    kept = len(wanted) - len(pending)
    already_done = stage_pass.state == "done" and not pending
    entries = {r.record_id: finished[r.record_id] for r in wanted if r.record_id in finished}
    if not already_done:
        if stage_pass.state == "done":
            run.reopen(stage_pass)
        with (progress or Silent()).bar(stage_pass.stage, len(wanted)) as bar:
            bar.advance(kept)
            for record, outcome in engine.run(work, pending):
                made = _failure(record, outcome) if isinstance(outcome, BaseException) else outcome
                if isinstance(made, Item):
                    items.append(made)
                else:
                    run.append_manifest(made)
                    entries[record.record_id] = made
                bar.advance()
    ordered = tuple(entries[record.record_id] for record in wanted if record.record_id in entries)
    return Passed(ordered, tuple(items), kept, stage_pass, already_done)


def forget_files(run: Run, entry: ManifestEntry) -> None:
    """Remove all files of an entry."""
    for path in entry.files:
        discard(run.inside(path))


def _failure(record: Record, error: BaseException) -> Item:
    """Return what is listed of a record that failed; what concerns all records is raised again."""
    if isinstance(error, UsageError) or not isinstance(error, Exception):
        raise error
    if isinstance(error, PictureError):
        return _unloadable(record, error)
    known = isinstance(error, AgirError)
    _log.error("Record %s failed: %s", record.record_id, error, exc_info=None if known else error)
    return Item(record.record_id, "failed", str(error) or type(error).__name__)


def _unloadable(record: Record, error: PictureError) -> Item:
    if record.address is not None and record.image_path is not None and not record.image_path.exists():
        error = PictureError(f"{record.address} is not fetched yet", "Run: agir-cvtoolkit fetch")
    _log.warning("Could not load image for record %s: %s", record.record_id, error)
    return Item(record.record_id, "skipped", f"Could not load image for record {record.record_id}: {error}")


def _finished(run: Run) -> dict[str, ManifestEntry]:
    if not run.manifest_path.is_file():
        return {}
    return {e.record_id: e for e in run.read_manifest() if all(run.inside(f).is_file() for f in e.files)}


def _unique(records: Sequence[Record]) -> tuple[list[Record], list[Item]]:
    known: dict[str, Record] = {}
    items = []
    for record in records:
        if record.record_id in known:
            _log.error("Record %s occurs twice in the query; its first row is used", record.record_id)
            items.append(Item(record.record_id, "failed", "occurs twice in the query"))
        known.setdefault(record.record_id, record)
    return list(known.values()), items
