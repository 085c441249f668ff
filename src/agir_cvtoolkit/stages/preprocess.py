"""``preprocess``: make the training data set from originals and corrections."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import ConfigError, NoRunError
from agir_cvtoolkit.pictures import sha256_of
from agir_cvtoolkit.records import Item, ManifestEntry
from agir_cvtoolkit.runs import DATA_SET, Run
from agir_cvtoolkit.training.pairs import DatasetClass, Pair, pairs_from_folders
from agir_cvtoolkit.training.preprocess import prepare

from ._call import Call
from ._classes import BACKGROUND, class_table, read_classes
from ._dataset_pass import DATASET, begin_pass
from ._originals import Originals
from ._pulled import PulledTask, read_frame_maps
from ._unfinished import unfinished_pictures

STAGE = "preprocess"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreprocessResult:
    """What ``preprocess`` made, or in a dry run would make.

    Attributes:
        pairs: pictures with a mask that were found.
        train_samples, val_samples, test_samples: tiles in each split.
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
    serve both.
    Of a record that came back in several tasks the newest task counts.

    Raises:
        NoRunError: nothing was downloaded.
        ConfigError: ``preprocess.classes=labels`` in a run without a table of labels.
        DataError: no usable pair.
    """
    call = call or Call()
    settings = call.settings()
    run = call.open_run(settings)
    pairs, items, tasks = _pairs(run, settings)
    dataset_dir = run.path(DATASET)
    classes = _classes(run, settings)
    unfinished = _unfinished(run, settings, pairs)
    if call.dry_run:
        names = tuple(c.name for c in classes) if classes else (BACKGROUND, "plant")
        return PreprocessResult(
            run.run_id,
            dataset_dir,
            len(pairs),
            tasks,
            0,
            0,
            0,
            names,
            (),
            (),
            "",
            "",
            tuple(items),
            dry_run=True,
            unfinished_pictures=unfinished,
        )
    with call.work(run, STAGE), run.lock(DATA_SET):
        call.record_config(run, STAGE, settings, settings.dump("preprocess", "io"))
        stage_pass = begin_pass(run, STAGE, pairs, classes, settings)
        prepared = prepare(
            pairs,
            dataset_dir,
            settings.preprocess,
            classes=classes,
            seed=settings.train.seed,
            progress=call.progress,
        )
        dataset = prepared.dataset
        result = PreprocessResult(
            run_id=run.run_id,
            dataset_dir=dataset_dir,
            pairs=len(pairs),
            tasks=tasks,
            train_samples=len(dataset.splits["train"]),
            val_samples=len(dataset.splits["val"]),
            test_samples=len(dataset.splits["test"]),
            classes=tuple(c.name for c in dataset.classes),
            rgb_mean=dataset.rgb_mean,
            rgb_std=dataset.rgb_std,
            fingerprint=dataset.fingerprint,
            warning=dataset.warning,
            items=(*items, *prepared.items),
            unfinished_pictures=unfinished,
        )
        content = asdict(result)
        for name in ("run_id", "dry_run"):
            content.pop(name)
        run.write_metrics(STAGE, content, number=stage_pass.number)
        run.finish(stage_pass)
    return result


def _pairs(run: Run, settings: Settings) -> tuple[list[Pair], list[Item], tuple[int, ...]]:
    source = settings.preprocess.source
    if source.type == "custom":
        pairs, items = pairs_from_folders(
            Path(source.custom_images_dir or ""), Path(source.custom_masks_dir or "")
        )
        return pairs, items, ()
    entries: dict[str, ManifestEntry] = {}
    if source.type == "inference_results":
        found = run.read_manifest()
        return _predicted_pairs(run, found)
    with suppress(NoRunError):
        entries = {entry.record_id: entry for entry in run.read_manifest()}
    tasks = read_frame_maps(run, source.tasks)
    if not any(task.frames for task in tasks):
        raise NoRunError(
            f"run {run.run_id} has no finished work from CVAT",
            "Complete the jobs in CVAT, then: agir-cvtoolkit download-cvat",
        )
    pairs, items = _pulled_pairs(run, tasks, entries)
    return pairs, items, tuple(task.task_id for task in tasks)


def _unfinished(run: Run, settings: Settings, pairs: Sequence[Pair]) -> int:
    """Count, and say, which pictures come from jobs that nobody has completed."""
    source = settings.preprocess.source
    if source.type in {"custom", "inference_results"}:
        return 0
    tasks, masks = read_frame_maps(run, source.tasks), {pair.mask_path for pair in pairs}
    count = unfinished_pictures(settings.io.ledger_url, Path(settings.io.out_root), run.run_id, tasks, masks)
    if count:
        _log.warning(
            "%d of %d pictures come from jobs that are not completed: proposals that nobody has opened are learned"
            " as if they were right; complete the jobs in CVAT and run download-cvat again",
            count,
            len(pairs),
        )
    return count


def _pulled_pairs(
    run: Run, tasks: Sequence[PulledTask], entries: dict[str, ManifestEntry]
) -> tuple[list[Pair], list[Item]]:
    pairs: dict[str, Pair] = {}
    items: dict[str, Item] = {}
    originals = Originals(run)
    for task in tasks:
        for frame in task.frames:
            entry = entries.get(frame.record_id)
            source = entry.source_path if entry else None
            image = originals.find(frame.record_id, frame.sha256, task.folder, source)
            sha256 = frame.sha256 or (sha256_of(image) if image else "")
            # A picture of somebody else's task may share no more than its name with a record.
            own = frame.sha256 is not None or (entry is not None and entry.sha256 == sha256)
            record_id = frame.record_id if own else f"{task.task_id}_{frame.record_id}"
            if frame.mask is None:
                items[record_id] = Item(record_id, "skipped", "came back without masks or polygons")
                continue
            if image is None:
                items[record_id] = Item(
                    record_id,
                    "failed",
                    f"its original is not in run {run.run_id}",
                )
                continue
            pairs[record_id] = Pair(
                record_id=record_id,
                image_path=image,
                mask_path=task.folder / frame.mask,
                group=_group_of(record_id, entry) if own else sha256,
                common_name=entry.common_name if own and entry else None,
                sha256=sha256,
            )
            items.pop(record_id, None)
    return list(pairs.values()), [item for record_id, item in items.items() if record_id not in pairs]


def _predicted_pairs(
    run: Run, entries: Sequence[ManifestEntry]
) -> tuple[list[Pair], list[Item], tuple[int, ...]]:
    pairs, items = [], []
    for entry in entries:
        if entry.image_path is None or entry.mask_path is None:
            items.append(Item(entry.record_id, "skipped", "its picture or mask was not saved"))
            continue
        pairs.append(
            Pair(
                record_id=entry.record_id,
                image_path=run.inside(entry.image_path),
                mask_path=run.inside(entry.mask_path),
                group=_group_of(entry.record_id, entry),
                common_name=entry.common_name,
                sha256=entry.sha256 or "",
            )
        )
    return pairs, items, ()


def _group_of(record_id: str, entry: ManifestEntry | None) -> str:
    if entry is None:
        return record_id
    image = entry.label_values.get("image_id") or entry.source_path
    return str(image) if image else record_id


def _classes(run: Run, settings: Settings) -> tuple[DatasetClass, ...] | None:
    if settings.preprocess.classes == "binary":
        return None
    table = read_classes(class_table(run))
    if not table:
        raise ConfigError(
            f"run {run.run_id} has no dataset/classes.json with labels",
            "Bring them: agir-cvtoolkit download-cvat - or learn plant against background:"
            " -o preprocess.classes=binary",
        )
    listed = sorted(table.items(), key=lambda pair: pair[1])
    return (DatasetClass(0, BACKGROUND), *(DatasetClass(value, name) for name, value in listed))
