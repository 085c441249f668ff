"""``preprocess``: make the training data set from originals and corrections."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.runs import DATA_SET, Run
from agir_cvtoolkit.training.preprocess import Prepared, prepare

from ._call import Call
from ._classes import BACKGROUND
from ._dataset_pairs import FoundPairs, find_pairs
from ._dataset_pass import DATASET, begin_pass, hashed
from ._dataset_record import record_version
from ._split_memory import SplitMemory, listed_sides
from ._unfinished import unfinished_pictures

STAGE = "preprocess"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreprocessResult:
    """What ``preprocess`` made, or in a dry run would make.

    Attributes:
        pairs: pictures with a mask that were found.
        train_samples, val_samples, test_samples: tiles in each split.
        rgb_mean, rgb_std: of the training pictures, in [0, 1].
        class_pixels: of the training pictures, by class.
        fingerprint: the version of the data set.
        warning: what the reader of a score must know, or empty.
        unfinished_pictures: of `pairs`, those of jobs that nobody had completed when they were read.
    """

    run_id: str
    dataset_dir: Path
    pairs: int
    tasks: tuple[int, ...]
    train_samples: int
    val_samples: int
    test_samples: int
    classes: tuple[str, ...]
    rgb_mean: tuple[float, ...]
    rgb_std: tuple[float, ...]
    class_pixels: tuple[int, ...]
    fingerprint: str
    warning: str
    items: tuple[Item, ...]
    dry_run: bool = False
    unfinished_pictures: int = 0

    @property
    def exit_code(self) -> int:
        """0, or 1 where records were skipped or failed."""
        return 1 if self.items else 0


def preprocess(call: Call | None = None) -> PreprocessResult:
    """Make the data set of a run from originals and pulled masks; what is there already is kept.

    With other pairs or settings the earlier data set moves to ``history/preprocess/``; tiles of unchanged records
    serve both. Every version is recorded in the ledger with its parent, and so is which pictures are tested on.

    Raises:
        NoRunError: nothing was downloaded.
        ConfigError: ``preprocess.classes=labels`` in a run without a table of labels.
        DataError: no usable pair, or nothing left to train on.
    """
    call = call or Call()
    settings = call.settings()
    run = call.open_run(settings)
    found = find_pairs(run, settings)
    listed = listed_sides(settings, found.pairs)
    unfinished = _unfinished(settings, found)
    if call.dry_run:
        return _planned(run, found, unfinished)
    with call.work(run, STAGE), run.lock(DATA_SET):
        call.record_config(run, STAGE, settings, settings.dump("preprocess", "io"))
        parent = run.read_metrics(STAGE).get("fingerprint")
        found = hashed(found)
        stage_pass = begin_pass(run, STAGE, found, listed, settings)
        with Ledger.open(settings.io.ledger_url, settings.io.out_root) as ledger:
            prepared = prepare(
                found.pairs,
                run.path(DATASET),
                settings.preprocess,
                classes=found.classes,
                seed=settings.train.seed,
                listed=listed,
                remember=SplitMemory.of(ledger, settings),
                progress=call.progress,
            )
            record_version(ledger, run, prepared, found, settings, parent)
        result = _result(run, found, prepared, unfinished)
        content = asdict(result)
        for name in ("run_id", "dry_run"):
            content.pop(name)
        run.write_metrics(STAGE, content, number=stage_pass.number)
        run.finish(stage_pass)
    return result


def _planned(run: Run, found: FoundPairs, unfinished: int) -> PreprocessResult:
    names = tuple(c.name for c in found.classes) if found.classes else (BACKGROUND, "plant")
    return PreprocessResult(
        run_id=run.run_id,
        dataset_dir=run.path(DATASET),
        pairs=len(found.pairs),
        tasks=_task_ids(found),
        train_samples=0,
        val_samples=0,
        test_samples=0,
        classes=names,
        rgb_mean=(),
        rgb_std=(),
        class_pixels=(),
        fingerprint="",
        warning="",
        items=found.items,
        dry_run=True,
        unfinished_pictures=unfinished,
    )


def _result(run: Run, found: FoundPairs, prepared: Prepared, unfinished: int) -> PreprocessResult:
    dataset = prepared.dataset
    return PreprocessResult(
        run_id=run.run_id,
        dataset_dir=run.path(DATASET),
        pairs=len(found.pairs),
        tasks=_task_ids(found),
        train_samples=len(dataset.splits["train"]),
        val_samples=len(dataset.splits["val"]),
        test_samples=len(dataset.splits["test"]),
        classes=tuple(c.name for c in dataset.classes),
        rgb_mean=dataset.rgb_mean,
        rgb_std=dataset.rgb_std,
        class_pixels=dataset.class_pixels,
        fingerprint=dataset.fingerprint,
        warning=dataset.warning,
        items=(*found.items, *prepared.items),
        unfinished_pictures=unfinished,
    )


def _task_ids(found: FoundPairs) -> tuple[int, ...]:
    return tuple(task.task_id for tasks in found.tasks.values() for task in tasks)


def _unfinished(settings: Settings, found: FoundPairs) -> int:
    """Count, and say, which pictures come from jobs that nobody has completed."""
    masks = {pair.mask_path for pair in found.pairs}
    url, out_root = settings.io.ledger_url, Path(settings.io.out_root)
    count = sum(
        unfinished_pictures(url, out_root, run_id, tasks, masks)
        for run_id, tasks in found.tasks.items()
        if tasks
    )
    if count:
        _log.warning(
            "%d of %d pictures come from jobs that are not completed: proposals that nobody has opened are learned"
            " as if they were right; complete the jobs in CVAT and run download-cvat again",
            count,
            len(found.pairs),
        )
    return count
