"""What of a run can be chosen: its pictures, or regions of them, with all that a choice goes by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.choosing import Floats, Pool, Region, region_id
from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import ConfigError, UsageError, did_you_mean
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.progress import Progress
from agir_cvtoolkit.records import Item, ManifestEntry
from agir_cvtoolkit.runs import Run

from ._embeddings import Embedded, Pictured, embeddings_of
from ._jumps import FOLDER_OF_FRAMES, jumps
from ._mask_candidates import image_of
from ._select_hashes import looks_of
from ._select_known import corrected_shares
from ._select_regions import RegionsSeen, regions_of, regions_seen

HISTORY = "history"
"""The score of how often the classes of a unit were corrected."""
JUMP = "jump"
"""The score of how far a frame is from the frames before and after it."""


@dataclass(frozen=True, eq=False)
class Gathered:
    """A pool and where it comes from.

    Attributes:
        entries: the record that each unit belongs to.
        embedded: what made its embeddings; None where there are none.
        items: records that cannot be chosen, with the reason.
        notes: what there is to know of it, in sentences.
    """

    pool: Pool
    entries: Sequence[ManifestEntry]
    embedded: Embedded | None
    items: tuple[Item, ...]
    notes: tuple[str, ...]


def gather(run: Run, settings: Settings, ledger: Ledger, progress: Progress) -> Gathered:
    """Gather what can be chosen of a run, by record id.

    Raises:
        NoRunError: nothing was predicted.
        UsageError: no picture of it can be had, or for regions there are no maps of doubt.
        ConfigError: a score or the column of strata is not known here.
    """
    wanted = settings.select
    items: list[Item] = []
    pictures: dict[str, tuple[ManifestEntry, Path]] = {}
    for entry in sorted(run.read_manifest(), key=lambda entry: entry.record_id):
        path = image_of(run, entry)
        if path is None:
            items.append(Item(entry.record_id, "skipped", "its picture was not saved in the run"))
        else:
            pictures[entry.record_id] = (entry, path)
    if not pictures:
        raise UsageError(
            f"run {run.run_id} has no pictures to choose from",
            "Predict with seg_inference.output.save_images=true.",
        )
    by_region: RegionsSeen | None = None
    if wanted.unit == "region":
        by_region = regions_seen(run, [entry for entry, _ in pictures.values()], wanted.region, progress)
    units = [
        (entry, path, region)
        for entry, path in pictures.values()
        for region in ([None] if by_region is None else regions_of(entry, wanted.region))
    ]
    entries = [entry for entry, _, _ in units]
    embedded, spread = _embedded(units, settings, progress)
    if embedded is not None:
        failed = [f"{units[place][0].record_id}: {why}" for place, why in embedded.failed.items()]
        items += [
            Item(units[int(place)][0].record_id, "skipped", why) for place, why in embedded.failed.items()
        ]
        if failed:
            kept = [place for place in range(len(units)) if place not in embedded.failed]
            units = [units[place] for place in kept]
            entries = [entries[place] for place in kept]
            spread = None if spread is None else spread[kept]
    hashes, unread = _hashes(units, ledger, progress)
    items += unread
    scores, notes = _scores(run, entries, units, by_region, settings, ledger)
    pool = Pool(
        ids=[_id_of(entry, region) for entry, _, region in units],
        records=None if by_region is None else [entry.record_id for entry in entries],
        regions=None if by_region is None else [region for _, _, region in units if region is not None],
        scores=scores,
        embeddings=spread,
        hashes=hashes,
        contents=[entry.sha256 for entry in entries],
        strata=_strata(entries, wanted.strata),
        classes=_classes(
            [entry.class_shares for entry in entries]
            if by_region is None
            else [by_region[_id_of(entry, region)].class_shares for entry, _, region in units]
        ),
    )
    return Gathered(pool, entries, embedded, tuple(items), notes)


def _id_of(entry: ManifestEntry, region: Region | None) -> str:
    return entry.record_id if region is None else region_id(entry.record_id, region)


def _embedded(
    units: Sequence[tuple[ManifestEntry, Path, Region | None]], settings: Settings, progress: Progress
) -> tuple[Embedded | None, Floats | None]:
    wanted = settings.select
    made = embeddings_of(
        [Pictured(entry.sha256 or str(path), path, region) for entry, path, region in units],
        Path(settings.io.out_root),
        wanted.embeddings,
        device=wanted.device,
        progress=progress,
    )
    return made, None if made is None else made.rows


def _hashes(
    units: Sequence[tuple[ManifestEntry, Path, Region | None]], ledger: Ledger, progress: Progress
) -> tuple[NDArray[np.uint64] | None, list[Item]]:
    """Return the looks of the units' pictures; None where one of them could not be measured."""
    files = {entry.sha256 or str(path): path for entry, path, _ in units}
    looks = looks_of(files, ledger, progress)
    unread = [
        Item(entry.record_id, "skipped", "its picture cannot be read, so near-duplicates are not looked for")
        for entry, path, _ in units
        if (entry.sha256 or str(path)) not in looks
    ]
    if unread:
        return None, unread[:1]
    return np.array([looks[entry.sha256 or str(path)] for entry, path, _ in units], dtype=np.uint64), []


def _scores(
    run: Run,
    entries: Sequence[ManifestEntry],
    units: Sequence[tuple[ManifestEntry, Path, Region | None]],
    by_region: RegionsSeen | None,
    settings: Settings,
    ledger: Ledger,
) -> tuple[dict[str, NDArray[np.float32]], tuple[str, ...]]:
    notes: list[str] = []
    if by_region is not None:
        found = {
            "uncertainty": np.array(
                [by_region[_id_of(entry, region)].doubt for entry, _, region in units], dtype=np.float32
            )
        }
    else:
        names = sorted({name for entry in entries for name in entry.scores})
        found = {
            name: np.array([entry.scores.get(name, np.nan) for entry in entries], dtype=np.float32)
            for name in names
        }
        found["uncertainty"] = np.array([entry.uncertainty for entry in entries], dtype=np.float32)
    if HISTORY in settings.select.scores:
        found[HISTORY] = _history(entries, corrected_shares(ledger))
        if np.isnan(found[HISTORY]).all():
            notes.append(
                "nothing was corrected yet in the classes of these pictures: the score history is empty"
            )
    if JUMP in settings.select.scores and by_region is None:
        found[JUMP] = _jumps(run, entries, settings)
    for name in settings.select.scores:
        if name not in found:
            made_here = [*found, HISTORY] if by_region is not None else [*found, HISTORY, JUMP]
            near = did_you_mean(name, made_here)
            known = ", ".join(sorted(set(made_here)))
            raise ConfigError(f"select.scores: this run has no score '{name}'; there are: {known}", near)
    return found, tuple(notes)


def _jumps(run: Run, entries: Sequence[ManifestEntry], settings: Settings) -> NDArray[np.float32]:
    """Return how far each frame is from its neighbours in time; NaN where it has none."""
    by, order = settings.select.sequence.by, settings.select.sequence.order
    known = {name for entry in entries for name in entry.label_values}
    listed = ", ".join(sorted(known | {FOLDER_OF_FRAMES}))
    if by is None:
        raise ConfigError(
            "the score jump needs to know which frames are of one film",
            f"Name the column: select.sequence.by, one of: {listed}",
        )
    for key, column in (("by", by), ("order", order)):
        if column is not None and column not in known and (key, column) != ("by", FOLDER_OF_FRAMES):
            near = did_you_mean(column, known)
            raise ConfigError(
                f"select.sequence.{key}: no record has a column '{column}'",
                f"{near} Columns: {listed}".strip(),
            )
    found = jumps(run, entries, by, order)
    return np.array([found.get(entry.record_id, np.nan) for entry in entries], dtype=np.float32)


def _history(entries: Sequence[ManifestEntry], corrected: Mapping[str, float]) -> NDArray[np.float32]:
    """Return how often what was proposed in the classes of each picture was corrected, by the area of the classes."""
    found = np.full(len(entries), np.nan, dtype=np.float32)
    for place, entry in enumerate(entries):
        shares = entry.class_shares or ({entry.common_name: 1.0} if entry.common_name else {})
        known = {name: share for name, share in shares.items() if name.casefold() in corrected and share > 0}
        if known:
            weighted = sum(share * corrected[name.casefold()] for name, share in known.items())
            found[place] = weighted / sum(known.values())
    return found


def _strata(entries: Sequence[ManifestEntry], column: str | None) -> list[str] | None:
    if column is None:
        return None
    if column == "common_name":
        return [entry.common_name or "" for entry in entries]
    known = {name for entry in entries for name in entry.label_values}
    if column not in known:
        listed = ", ".join(sorted(known | {"common_name"}))
        raise ConfigError(
            f"select.strata: no record has a column '{column}'",
            f"{did_you_mean(column, known)} Columns: {listed}".strip(),
        )
    return [str(entry.label_values.get(column) or "") for entry in entries]


def _classes(shares: Sequence[Mapping[str, float]]) -> dict[str, NDArray[np.float32]]:
    names = sorted({name for own in shares for name in own})
    return {name: np.array([own.get(name, 0.0) for own in shares], dtype=np.float32) for name in names}
