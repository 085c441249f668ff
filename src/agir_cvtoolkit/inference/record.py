"""What is written of one predicted record: its line in the manifest, and all files that were asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.pictures import save_png_of
from agir_cvtoolkit.records import ManifestEntry, Record
from agir_cvtoolkit.runs import Run, atomic_path

from .instances import instances_of
from .originals import Original
from .postprocess import to_mask
from .predictor import Predictor, is_plant_or_not, mask_values
from .renderings import colorized, colour_of, cutout, palette_colour
from .segment import Segmented

if TYPE_CHECKING:
    from agir_cvtoolkit.config import SegInference

_Levels = NDArray[np.uint8] | NDArray[np.uint16]

NO_CLASS = 255
"""Mask value of the foreground where the source has no usable class id."""


def write_record(
    run: Run,
    record: Record,
    original: Original,
    found: Segmented,
    milliseconds: float,
    predictor: Predictor,
    settings: SegInference,
) -> ManifestEntry:
    """Write the mask of a record and what else was asked for; the manifest is left to the caller.

    Args:
        run: where the files go.
        record: that was predicted.
        original: its pixels.
        found: what the predictor says of them.
        milliseconds: that predicting took.
        predictor: that said it.
        settings: which files are written.

    Raises:
        OSError: a file cannot be written.
        DataError: there are more instances than a file holds.
    """
    output = settings.output
    class_id = mask_value(record)
    values = mask_values(predictor, class_id)
    files: dict[str, str] = {}
    count = None
    if output.save_masks:
        files["mask_path"] = _write(run, "masks", record, partial(to_mask, values=values), found.index)
    if output.save_colorized_masks:
        own = colour_of(record.values.get(output.colorize_rgb_field), output.colorize_fallback_rgb)
        plain = is_plant_or_not(predictor)
        colours = [own if plain else palette_colour(value) for value in values[1:]]
        painted = partial(colorized, colours=colours, brightness=output.colorize_brightness)
        files["colorized_mask_path"] = _write(run, "colorized_masks", record, painted, found.index)
    if output.save_cutouts:
        plants = partial(cutout, rgba=output.cutout_use_rgba)
        files["cutout_path"] = _write(run, "cutouts", record, plants, original.rgb, found.index)
    if found.doubt is not None:
        files["uncertainty_path"] = _write(run, "uncertainty", record, _as_it_is, found.doubt)
    if output.save_instances:
        single = instances_of(found.index, settings.instances.method, settings.instances.distance)
        count = int(single.max(initial=0))
        files["instances_path"] = _write(run, "instances", record, _as_it_is, single)
    width, height = original.size
    return ManifestEntry(
        record_id=record.record_id,
        common_name=record.common_name,
        image_path=original.image_path,
        mask_path=files.pop("mask_path", None),
        width=width,
        height=height,
        sha256=original.sha256,
        model=predictor.name,
        uncertainty=round(found.uncertainty, 6),
        edge_occupancy=round(found.edge_occupancy, 6),
        inference_time_ms=round(milliseconds, 3),
        foreground_share=round(found.foreground_share, 6),
        class_id=class_id,
        image_mode=settings.source.image_mode,
        source_path=str(record.image_path.absolute()) if record.image_path else None,
        label_values=dict(record.values),
        conflicts=tuple(sorted(record.conflicts)),
        instances=count,
        scores=dict(found.scores),
        class_shares=dict(found.class_shares),
        **files,
    )


def mask_value(record: Record) -> int:
    """Return the record's class id where a mask can hold it (1..255), else 255."""
    return record.class_id if 1 <= record.class_id <= 255 else NO_CLASS


def _write(
    run: Run, folder: str, record: Record, made: Callable[..., _Levels], *arrays: NDArray[np.uint8] | _Levels
) -> str:
    path = run.path(folder, f"{record.stem}.png")
    with atomic_path(path) as temporary:
        save_png_of(made, temporary, *arrays)
    return str(path.relative_to(run.root))


def _as_it_is(array: _Levels) -> _Levels:
    return array
