"""Which pictures and masks a data set is made of: pulled, predicted, or in two folders; of one run or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from agir_cvtoolkit.choosing import parted_id
from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import ConfigError, NoRunError, did_you_mean
from agir_cvtoolkit.pictures import sha256_of
from agir_cvtoolkit.records import Item, ManifestEntry
from agir_cvtoolkit.runs import Run, open_run
from agir_cvtoolkit.training.pairs import DatasetClass, Pair, pairs_from_folders

from ._batch import known_entries
from ._classes import BACKGROUND, class_table, merged, read_classes
from ._originals import Originals
from ._pulled import PulledTask, read_frame_maps

SESSION = "batch_id"
"""Column that names the session in which a picture was taken."""


@dataclass(frozen=True)
class FoundPairs:
    """What a data set can be made of.

    Attributes:
        pairs: by record, each once.
        items: records that are left out, with the reason.
        tasks: that masks were pulled from, by run.
        classes: what the masks' values mean, background first; None for plant or not.
    """

    pairs: tuple[Pair, ...]
    items: tuple[Item, ...] = ()
    tasks: Mapping[str, tuple[PulledTask, ...]] = field(default_factory=dict)
    classes: tuple[DatasetClass, ...] | None = None


def find_pairs(run: Run, settings: Settings) -> FoundPairs:
    """Find the pairs that the configuration asks for.

    Of a record that came back in several tasks the newest task counts; of one that came back in several runs the one
    that is named last, and before all others the run itself. A record id that is another picture in another run gets
    the name of that run before it.

    Raises:
        NoRunError: nothing was downloaded, or a run of ``preprocess.source.runs`` does not exist.
        ConfigError: ``preprocess.classes=labels`` in a run without a table of labels, or a column of
            ``preprocess.split.together`` that no record has.
    """
    source = settings.preprocess.source
    if source.type == "custom":
        _check_columns((), settings)
        images, masks = Path(source.custom_images_dir or ""), Path(source.custom_masks_dir or "")
        in_folders, unpaired = pairs_from_folders(images, masks)
        return FoundPairs(tuple(in_folders), tuple(unpaired), classes=_classes([run], settings)[0])
    others = [open_run(Path(settings.io.out_root), run_id) for run_id in source.runs]
    runs = [*(other for other in others if other.run_id != run.run_id), run]
    classes, values = _classes(runs, settings)
    pairs: dict[str, Pair] = {}
    items: dict[str, Item] = {}
    tasks: dict[str, tuple[PulledTask, ...]] = {}
    for one, translated in zip(runs, values, strict=True):
        of_run: tuple[PulledTask, ...] = ()
        if source.type == "inference_results":
            own, left = _predicted_pairs(one, settings)
        else:
            own, left, of_run = _pulled_pairs(one, settings)
        tasks[one.run_id] = of_run
        for pair in own:
            known = pairs.get(pair.record_id)
            another = known is not None and known.sha256 != pair.sha256
            record_id = f"{one.run_id}/{pair.record_id}" if another else pair.record_id
            pairs[record_id] = replace(pair, record_id=record_id, values=translated)
        items |= {item.record_id: item for item in left}
    _check_columns(runs, settings)
    left_out = tuple(item for record_id, item in items.items() if record_id not in pairs)
    return FoundPairs(tuple(pairs.values()), left_out, tasks, classes)


def _check_columns(runs: Sequence[Run], settings: Settings) -> None:
    """Refuse a column that no record has: pictures that it should keep together would be divided."""
    wanted = settings.preprocess.split.together
    if not wanted:
        return
    known: set[str] = set()
    for run in runs:
        with suppress(NoRunError):
            known = known.union(*(entry.label_values for entry in run.read_manifest()))
    for name in wanted:
        if name not in known:
            listed = f"Columns: {', '.join(sorted(known)) or 'none'}"
            raise ConfigError(
                f"preprocess.split.together: no record has a column '{name}'",
                f"{did_you_mean(name, known)} {listed}".strip(),
            )


def _pulled_pairs(run: Run, settings: Settings) -> tuple[list[Pair], list[Item], tuple[PulledTask, ...]]:
    entries: dict[str, ManifestEntry] = {}
    with suppress(NoRunError):
        entries = {entry.record_id: entry for entry in known_entries(run)}
    tasks = tuple(read_frame_maps(run, settings.preprocess.source.tasks))
    if not any(task.frames for task in tasks):
        raise NoRunError(
            f"run {run.run_id} has no finished work from CVAT",
            "Complete the jobs in CVAT, then: agir-cvtoolkit download-cvat",
        )
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
                items[record_id] = Item(record_id, "failed", f"its original is not in run {run.run_id}")
                continue
            pair = Pair(record_id, image, task.folder / frame.mask, sha256, None, sha256)
            pairs[record_id] = _described(pair, entry, settings) if own else pair
            items.pop(record_id, None)
    return list(pairs.values()), [item for key, item in items.items() if key not in pairs], tasks


def _predicted_pairs(run: Run, settings: Settings) -> tuple[list[Pair], list[Item]]:
    pairs, items = [], []
    for entry in run.read_manifest():
        if entry.image_path is None or entry.mask_path is None:
            items.append(Item(entry.record_id, "skipped", "its picture or mask was not saved"))
            continue
        image, mask = run.inside(entry.image_path), run.inside(entry.mask_path)
        pair = Pair(entry.record_id, image, mask, entry.record_id, None, entry.sha256 or "")
        pairs.append(_described(pair, entry, settings))
    return pairs, items


def _described(pair: Pair, entry: ManifestEntry | None, settings: Settings) -> Pair:
    """Add what the manifest knows of a picture: its species, and what it must stay together with."""
    if entry is None:
        return replace(pair, group=parted_id(pair.record_id)[0])
    columns = settings.preprocess.split.together
    known = {name: entry.label_values.get(name) for name in (columns or ())}
    image = entry.label_values.get("image_id") or entry.source_path
    return replace(
        pair,
        group=str(image) if image else entry.region_of or pair.record_id,
        common_name=entry.common_name,
        together=tuple(f"{name}={value}" for name, value in known.items() if value not in (None, "")),
        session=str(entry.label_values.get(SESSION) or "") if columns is None else "",
    )


def _classes(
    runs: Sequence[Run], settings: Settings
) -> tuple[tuple[DatasetClass, ...] | None, list[tuple[tuple[int, int], ...]]]:
    """Return the classes, and for each run what its masks' values mean in them."""
    if settings.preprocess.classes == "binary":
        return None, [() for _ in runs]
    tables = [read_classes(class_table(run)) for run in runs]
    for run, table in zip(runs, tables, strict=True):
        if not table:
            raise ConfigError(
                f"run {run.run_id} has no dataset/classes.json with labels",
                "Bring them: agir-cvtoolkit download-cvat, or agir-cvtoolkit import masks and"
                " -o preprocess.source.type=inference_results - or learn plant against background:"
                " -o preprocess.classes=binary",
            )
    table = merged([tables[-1], *tables[:-1]])
    listed = sorted(table.items(), key=lambda pair: pair[1])
    values = [
        tuple(sorted((value, table[name]) for name, value in own.items() if table[name] != value))
        for own in tables
    ]
    return (DatasetClass(0, BACKGROUND), *(DatasetClass(value, name) for name, value in listed)), values
