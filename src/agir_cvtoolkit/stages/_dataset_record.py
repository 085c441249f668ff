"""A data set as a version in the ledger: what it was made of, and which version it follows."""

from __future__ import annotations

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.ledger import DatasetVersion, Ledger
from agir_cvtoolkit.runs import Run
from agir_cvtoolkit.training.preprocess import Prepared

from ._dataset_pairs import FoundPairs


def record_version(
    ledger: Ledger, run: Run, prepared: Prepared, found: FoundPairs, settings: Settings, parent: str | None
) -> None:
    """Record the version that a run has now; one that was made before stays what it is.

    Args:
        ledger: to be told.
        run: whose data set it is.
        prepared: the data set.
        found: what it was made of.
        settings: that it was made with.
        parent: the version that the run had before, None for its first.
    """
    dataset = prepared.dataset
    source = settings.preprocess.source
    version = DatasetVersion(
        version=dataset.fingerprint,
        run_id=run.run_id,
        parent=None if parent == dataset.fingerprint else parent,
        path=str(dataset.root.resolve()),
        made_from={
            "source": source.type,
            "tasks": {run_id: [task.task_id for task in tasks] for run_id, tasks in found.tasks.items()},
            "settings": settings.preprocess.model_dump(mode="json", exclude={"source", "workers"}),
        },
        pictures=dataset.pictures,
        records=len(prepared.members),
        tiles={side: len(tiles) for side, tiles in dataset.splits.items()},
        classes=tuple(c.name for c in dataset.classes),
        class_pixels=dataset.class_pixels,
    )
    ledger.record_dataset(version, prepared.members)
