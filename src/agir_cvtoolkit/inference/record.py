"""One record from its original to its line in the manifest, with all files that were asked for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.records import ManifestEntry, Record
from agir_cvtoolkit.runs import Run, atomic_path

from .originals import Original
from .postprocess import to_mask
from .predictor import Predictor, mask_values
from .renderings import colorized, colour_of, cutout
from .segment import Segmented, segment

if TYPE_CHECKING:
    from agir_cvtoolkit.config import SegInference

NO_CLASS = 255
"""Mask value of the foreground where the source has no usable class id."""


def predict_record(
    run: Run, record: Record, original: Original, predictor: Predictor, settings: SegInference
) -> tuple[ManifestEntry, Segmented]:
    """Predict one record and write its mask and what else was asked for; the manifest is left to the caller.

    Raises:
        OSError: a file cannot be written.
    """
    started = time.perf_counter()
    found = segment(predictor, original.rgb, settings)
    elapsed = (time.perf_counter() - started) * 1000
    output = settings.output
    class_id = mask_value(record)
    mask_path = colorized_path = cutout_path = None
    if output.save_masks:
        mask = to_mask(found.index, mask_values(predictor, class_id))
        mask_path = _write(run, "masks", record, mask)
    if output.save_colorized_masks:
        colour = colour_of(record.values.get(output.colorize_rgb_field), output.colorize_fallback_rgb)
        painted = colorized(found.index, colour, output.colorize_brightness)
        colorized_path = _write(run, "colorized_masks", record, painted)
    if output.save_cutouts:
        plants = cutout(original.rgb, found.index, rgba=output.cutout_use_rgba)
        cutout_path = _write(run, "cutouts", record, plants)
    width, height = original.size
    entry = ManifestEntry(
        record_id=record.record_id,
        common_name=record.common_name,
        image_path=original.image_path,
        mask_path=mask_path,
        width=width,
        height=height,
        sha256=original.sha256,
        model=predictor.name,
        uncertainty=round(found.uncertainty, 6),
        edge_occupancy=round(found.edge_occupancy, 6),
        inference_time_ms=round(elapsed, 3),
        foreground_share=round(found.foreground_share, 6),
        class_id=class_id,
        image_mode=settings.source.image_mode,
        source_path=str(record.image_path.absolute()) if record.image_path else None,
        cutout_path=cutout_path,
        colorized_mask_path=colorized_path,
        label_values=dict(record.values),
        conflicts=tuple(sorted(record.conflicts)),
    )
    return entry, found


def mask_value(record: Record) -> int:
    """Return the record's class id where a mask can hold it (1..255), else 255."""
    return record.class_id if 1 <= record.class_id <= 255 else NO_CLASS


def _write(run: Run, folder: str, record: Record, array: NDArray[np.uint8]) -> str:
    path = run.path(folder, f"{record.stem}.png")
    with atomic_path(path) as temporary:
        save_png(array, temporary)
    return str(path.relative_to(run.root))
