"""Regions of pictures: where they lie, how doubtful they are, and how they are cut out without loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.choosing import Region, region_id
from agir_cvtoolkit.config import RegionGrid
from agir_cvtoolkit.errors import DataError, UsageError
from agir_cvtoolkit.pictures import load_mask, load_rgb, png_bytes, sha256_of
from agir_cvtoolkit.progress import Progress
from agir_cvtoolkit.records import ManifestEntry, file_stem
from agir_cvtoolkit.runs import Run, write_bytes

from ._ahead import ahead
from ._batch import FOLDER
from ._mask_candidates import image_of, load_instances


@dataclass(frozen=True)
class RegionSeen:
    """What was predicted in a region.

    Attributes:
        doubt: mean of its pixels, in [0, 1].
        class_shares: share of its pixels by name of each class, without the background.
    """

    doubt: float
    class_shares: Mapping[str, float] = field(hash=False)


RegionsSeen = Mapping[str, RegionSeen]
_FULL_DOUBT = 255.0
_T = TypeVar("_T", bound=np.generic)


def regions_of(entry: ManifestEntry, grid: RegionGrid) -> list[Region]:
    """Part a picture into regions of one size that cover it, row by row; what does not fit evenly overlaps a little.

    A side of the picture that is smaller than a region's is the region's side.
    """
    wide, high = min(grid.size, entry.width), min(grid.size, entry.height)
    step = grid.stride or grid.size
    lefts, tops = _starts(entry.width, wide, step), _starts(entry.height, high, step)
    return [Region(left, top, wide, high) for top in tops for left in lefts]


def regions_seen(
    run: Run, entries: Sequence[ManifestEntry], grid: RegionGrid, progress: Progress
) -> RegionsSeen:
    """Return what was predicted in each region, by its unit id.

    Raises:
        UsageError: there are no maps of doubt, or the run has poses.
        DataError: one is damaged.
    """
    lacking = [entry.record_id for entry in entries if entry.uncertainty_path is None]
    if lacking:
        posed = any(entry.pose_path is not None for entry in entries)
        raise UsageError(
            f"{len(lacking)} of {len(entries)} records of run {run.run_id} have no map of each pixel's doubt, such as"
            f" {lacking[0]}",
            "Poses are chosen as whole pictures: select.unit=picture"
            if posed
            else "Predict with -o seg_inference.output.save_uncertainty=true",
        )
    names = {
        int(value): str(name) for value, name in run.read_metrics("infer-seg").get("classes", {}).items()
    }
    found: dict[str, RegionSeen] = {}
    with progress.bar("regions", len(entries)) as bar:
        work = ((entry, partial(_seen, run, entry, grid, names)) for entry in entries)
        for entry, outcome in ahead(work, 2):
            found |= outcome.result() if outcome else _seen(run, entry, grid, names)
            bar.advance()
    return found


def cut(run: Run, entry: ManifestEntry, regions: Sequence[Region]) -> list[ManifestEntry]:
    """Cut regions out of a picture and of what was predicted on it, losslessly, and return a line for each.

    The pictures lie in ``select/images``, the masks in ``select/masks``, numbered objects in ``select/instances``.

    Args:
        run: of the record.
        entry: of the record.
        regions: of its picture.

    Raises:
        DataError: the picture or mask is missing, damaged or of another size.
    """
    path = image_of(run, entry)
    if path is None:
        raise DataError(f"the picture of {entry.record_id} is gone", "Predict again, then select again.")
    rgb = load_rgb(path)
    size = (entry.width, entry.height)
    if rgb.shape[1::-1] != size:
        raise DataError(f"the picture of {entry.record_id} has another size than when it was predicted")
    mask = None if entry.mask_path is None else load_mask(run.inside(entry.mask_path), size)
    instances = (
        None if entry.instances_path is None else load_instances(run.inside(entry.instances_path), size)
    )
    return [_cut_one(run, entry, region, rgb, mask, instances) for region in regions]


def _cut_one(
    run: Run,
    entry: ManifestEntry,
    region: Region,
    rgb: NDArray[np.uint8],
    mask: NDArray[np.uint8] | None,
    instances: NDArray[np.uint16] | None,
) -> ManifestEntry:
    unit = region_id(entry.record_id, region)
    name = f"{file_stem(unit)}.png"
    paths: dict[str, str] = {}
    parts: dict[str, NDArray[np.uint8] | NDArray[np.uint16]] = {"images": _part(rgb, region)}
    if mask is not None:
        parts["masks"] = _part(mask, region)
    if instances is not None:
        parts["instances"] = _numbered_anew(_part(instances, region))
    for folder, pixels in parts.items():
        paths[folder] = f"{FOLDER}/{folder}/{name}"
        write_bytes(run.path(paths[folder]), png_bytes(pixels))
    of_mask = parts.get("masks")
    numbered = parts.get("instances")
    return replace(
        entry,
        record_id=unit,
        image_path=paths["images"],
        mask_path=paths.get("masks"),
        instances_path=paths.get("instances"),
        instances=None if numbered is None else int(numbered.max(initial=0)),
        width=region.width,
        height=region.height,
        sha256=sha256_of(run.path(paths["images"])),
        edge_occupancy=0.0 if of_mask is None else _edge_occupancy(of_mask),
        foreground_share=0.0 if of_mask is None else round(float((of_mask > 0).mean()), 6),
        image_mode="cutout",
        cutout_path=None,
        colorized_mask_path=None,
        viz_path=None,
        uncertainty_path=None,
        pose_path=None,
        boxes_path=None,
        scores={},
        class_shares={},
        region_of=entry.record_id,
        region=str(region),
    )


def _starts(length: int, side: int, step: int) -> list[int]:
    """Return where regions begin: so many that they cover the length, at even distances of at most `step`."""
    count = 1 + -(-(length - side) // step)
    return [round(place * (length - side) / max(1, count - 1)) for place in range(count)]


def _seen(run: Run, entry: ManifestEntry, grid: RegionGrid, names: Mapping[int, str]) -> RegionsSeen:
    path = run.inside(entry.uncertainty_path or "")
    doubt = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
    if doubt is None or doubt.shape != (entry.height, entry.width):
        raise DataError(
            f"{entry.uncertainty_path} does not hold the doubt of a picture of {entry.width}x{entry.height}",
            "Predict again.",
        )
    mask = None
    if entry.mask_path is not None:
        mask = load_mask(run.inside(entry.mask_path), (entry.width, entry.height))
    found: dict[str, RegionSeen] = {}
    for region in regions_of(entry, grid):
        shares: dict[str, float] = {}
        if mask is not None:
            counts = np.bincount(_part(mask, region).reshape(-1), minlength=256) / (
                region.width * region.height
            )
            shares = {name: float(counts[value]) for value, name in names.items() if value and counts[value]}
        mean = float(_part(doubt, region).mean()) / _FULL_DOUBT
        found[region_id(entry.record_id, region)] = RegionSeen(mean, shares)
    return found


def _part(pixels: NDArray[_T], region: Region) -> NDArray[_T]:
    part = pixels[region.top : region.top + region.height, region.left : region.left + region.width]
    return np.ascontiguousarray(part)


def _numbered_anew(instances: NDArray[np.uint16]) -> NDArray[np.uint16]:
    numbers = np.unique(instances[instances > 0])
    found = np.where(instances > 0, np.searchsorted(numbers, instances) + 1, 0)
    return found.astype(np.uint16)


def _edge_occupancy(mask: NDArray[np.uint8] | NDArray[np.uint16]) -> float:
    edge = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
    return round(float((edge > 0).mean()), 6)
