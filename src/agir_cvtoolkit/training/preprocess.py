"""From pairs to a data set folder: scaled, padded, cut, split and measured."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agir_cvtoolkit.config._training import Preprocess
from agir_cvtoolkit.engines import Bounds, Engine, Processes, RayCluster, Threads
from agir_cvtoolkit.errors import AgirError, DataError
from agir_cvtoolkit.ledger import DatasetMember
from agir_cvtoolkit.picture_memory import A_PIXEL
from agir_cvtoolkit.progress import Progress, Silent
from agir_cvtoolkit.records import Item, file_stem
from agir_cvtoolkit.runs import discard, fingerprint, read_json_object, write_json

from .cutting import STATE, CutRecord, Cutting
from .dataset import CLASSES, PICTURE_OF, SPLITS, STATS, TRAINED, PreparedDataset, open_dataset
from .groups import Sample
from .pairs import BINARY, DatasetClass, Pair
from .splits import APART, NAMES, Remember, Splits, forgetful, split
from .statistics import mean_and_std, total

_MORE_PAIRS = {
    "cvat_download": "Bring corrections: agir-cvtoolkit download-cvat",
    "inference_results": "Predict again with pictures and masks saved: agir-cvtoolkit infer-seg",
    "custom": "Check preprocess.source.custom_images_dir and custom_masks_dir.",
}
_Outcome = tuple[Pair, tuple[bool, CutRecord] | BaseException]
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True)
class Prepared:
    """What `prepare` did.

    Attributes:
        members: what the data set is made of, by record.
        items: records that were skipped or failed, with the reason.
        written: records whose tiles were written now; the others were there already.
    """

    dataset: PreparedDataset
    members: tuple[DatasetMember, ...]
    items: tuple[Item, ...]
    written: int


def prepare(
    pairs: Sequence[Pair],
    root: Path,
    settings: Preprocess,
    *,
    classes: Sequence[DatasetClass] | None = None,
    seed: int = 42,
    listed: Mapping[str, str] | None = None,
    remember: Remember = forgetful,
    progress: Progress | None = None,
) -> Prepared:
    """Make a data set folder, or bring it up to date; what is there already is kept.

    The files are the same to the byte whatever the workers, and what was there before.
    A few pictures are in memory at a time, large ones fewer. What fails for one record is listed, the rest goes on.

    Args:
        pairs: what to learn from.
        root: the folder, usually ``dataset/`` of a run; tiles of records that are not in `pairs` are removed.
        settings: the group ``preprocess``.
        classes: what the masks' values mean, background first; None takes every value other than 0 for plant.
        seed: of the split where ``preprocess.split.seed`` is null.
        listed: sides that were laid down, by record or picture (see `splits.split`).
        remember: what earlier splits have said.
        progress: told record by record.

    Raises:
        DataError: no usable pair is left, nothing is left to train on, or the disk is full.
    """
    table = tuple(classes) if classes is not None else BINARY
    _check_classes(table)
    # Its absence says "unfinished" to whoever opens the folder.
    (root / STATS).unlink(missing_ok=True)
    by_record: dict[str, Pair] = {}
    items: list[Item] = []
    for pair in pairs:
        if by_record.setdefault(pair.record_id, pair) is not pair:
            items.append(Item(pair.record_id, "failed", "the record is there twice"))
    ordered = [by_record[record_id] for record_id in sorted(by_record)]
    cutting = Cutting(root.resolve(), settings, table, binary=classes is None)
    done: dict[str, CutRecord] = {}
    used: list[Pair] = []
    written, hint = 0, ""
    running = _cut(_engine(settings), cutting, ordered)
    with closing(running) as outcomes, (progress or Silent()).bar("preprocess", len(ordered)) as bar:
        for pair, outcome in outcomes:
            if isinstance(outcome, BaseException):
                failed = _failure(outcome, root)
                items.append(Item(pair.record_id, "failed", failed.problem))
                hint = hint or failed.next_step
            else:
                written += outcome[0]
                done[pair.record_id] = outcome[1]
                if outcome[1].tiles:
                    used.append(pair)
                else:
                    items.append(Item(pair.record_id, "skipped", _why_nothing(settings)))
            bar.advance()
    if not used:
        reason = f": {items[0].record_id}: {items[0].reason}" if items else ""
        raise DataError(
            f"no usable pair of picture and mask{reason}", hint or _MORE_PAIRS[settings.source.type]
        )
    _sweep(root, done)
    split_seed = seed if settings.split.seed is None else settings.split.seed
    samples = _samples(used, done, table)
    splits = remember(samples, lambda memory: split(samples, settings.split, split_seed, memory, listed))
    items += [Item(record, "skipped", APART) for record in splits.apart]
    used = [pair for pair in used if pair.record_id in splits.sides]
    _describe(root, used, done, splits, settings, table, split_seed)
    return Prepared(open_dataset(root), _members(used, done, splits), tuple(items), written)


def _engine(settings: Preprocess) -> Engine:
    wanted = settings.workers
    readers = wanted.readers or min(os.cpu_count() or 1, 8)
    bounds = Bounds(readers=readers, weight=wanted.megapixels * 1_000_000 * A_PIXEL, items=readers + 2)
    if wanted.engine == "ray":
        return RayCluster(wanted.ray_address, wanted.processes, bounds)
    return Threads(bounds) if wanted.processes in {None, 1} else Processes(wanted.processes or 1, bounds)


def _cut(engine: Engine, cutting: Cutting, pairs: Sequence[Pair]) -> Generator[_Outcome, None, None]:
    yield from engine.run(cutting, pairs)


def _failure(error: BaseException, root: Path) -> AgirError:
    if isinstance(error, AgirError):
        return error
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        raise DataError(
            f"the disk of {root} is full: {error.strerror}",
            "Make room (agir-cvtoolkit runs prune) and start again: it goes on where it stopped.",
        ) from error
    if isinstance(error, MemoryError):
        return DataError("too large for the memory", "Lower preprocess.workers.megapixels.")
    raise error


def _check_classes(classes: tuple[DatasetClass, ...]) -> None:
    ids = [c.id for c in classes]
    if len(ids) < 2 or ids[0] != 0 or len(set(ids)) != len(ids) or not all(0 <= i <= 255 for i in ids):
        raise DataError(
            f"class ids {ids} cannot be a data set's",
            "They begin with 0 for the background, are unique and at most 255.",
        )


def _why_nothing(settings: Preprocess) -> str:
    if settings.ignore_empty_data:
        return "nothing but background (preprocess.ignore_empty_data)"
    return "smaller than a tile (preprocess.pad.enabled is false)"


def _sweep(root: Path, done: Mapping[str, CutRecord]) -> None:
    kept = {name for found in done.values() for name in found.tiles}
    for kind in ("images", "masks"):
        for path in (root / kind).glob("*.png"):
            if path.stem not in kept:
                discard(path)
    stems = {file_stem(record_id) for record_id in done}
    for path in (root / STATE).glob("*.json"):
        if path.stem not in stems:
            discard(path)


def _samples(
    used: Sequence[Pair], done: Mapping[str, CutRecord], classes: Sequence[DatasetClass]
) -> list[Sample]:
    held = {pair.record_id: done[pair.record_id].counts.classes for pair in used}
    occurs = [sum(bool(counts[n]) for counts in held.values()) for n in range(len(classes))]
    samples = []
    for pair in used:
        found = done[pair.record_id]
        present = [n for n, count in enumerate(held[pair.record_id]) if n and count]
        rarest = classes[min(present, key=lambda n: (occurs[n], n))].name if present else ""
        samples.append(
            Sample(
                record_id=pair.record_id,
                picture=pair.group,
                sha256=found.sha256,
                phash=found.phash,
                size=found.size,
                stratum=pair.common_name or rarest,
                together=pair.together,
                session=pair.session,
            )
        )
    return samples


def _members(
    used: Sequence[Pair], done: Mapping[str, CutRecord], splits: Splits
) -> tuple[DatasetMember, ...]:
    def side(record: str) -> str:
        found = splits.sides[record]
        return "train+val" if splits.same and found != "test" else found

    return tuple(
        DatasetMember(r, done[r].sha256, done[r].mask_sha256, pair.group, side(r))
        for pair in used
        for r in [pair.record_id]
    )


def _unlearned(splits: Splits, done: Mapping[str, CutRecord], classes: Sequence[DatasetClass]) -> str:
    """Say which classes occur, but in no training picture."""
    held = {
        side: total(done[r].counts for r in records).classes
        for side in NAMES
        if (records := splits.records(side))
    }
    lost = [
        found.name
        for n, found in enumerate(classes)
        if not held["train"][n] and any(counts[n] for counts in held.values())
    ]
    return f"no training picture shows {', '.join(lost)}" if lost else ""


def _describe(
    root: Path,
    used: Sequence[Pair],
    done: Mapping[str, CutRecord],
    splits: Splits,
    settings: Preprocess,
    classes: tuple[DatasetClass, ...],
    seed: int,
) -> None:
    picture_of_record = {pair.record_id: pair.group for pair in used}
    sides = {side: sorted(t for r in splits.records(side) for t in done[r].tiles) for side in NAMES}
    content: dict[str, Any] = {
        "seed": seed,
        **sides,
        "groups": {side: sorted({picture_of_record[r] for r in splits.records(side)}) for side in NAMES},
        "apart": list(splits.apart),
        "warning": "; ".join(filter(None, (splits.warning, _unlearned(splits, done, classes)))),
    }
    listed = [{"id": c.id, "name": c.name} for c in classes]
    used_records = sorted(picture_of_record)
    identity = fingerprint([(r, done[r].fingerprint) for r in used_records], content, listed)
    counts = total(done[r].counts for r in splits.records("train"))
    mean, std = mean_and_std(counts)
    write_json(root / CLASSES, read_json_object(root / CLASSES) | {TRAINED: listed})
    # Beside what the fingerprint stands for: it follows from it.
    picture_of = {tile: pair.group for pair in used for tile in done[pair.record_id].tiles}
    write_json(root / SPLITS, content | {PICTURE_OF: picture_of})
    stats = {
        "fingerprint": identity,
        "pictures": len(set(picture_of_record.values())),
        "records": len(used),
        "tiles": {side: len(found) for side, found in sides.items()},
        "tile_size": [settings.size.height, settings.size.width],
        "scale": settings.scale,
        "max_side": settings.max_side,
        "rgb_mean": mean,
        "rgb_std": std,
        "class_pixels": list(counts.classes),
    }
    write_json(root / STATS, stats)
