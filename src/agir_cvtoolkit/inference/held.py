"""How many bytes a record holds on its way from its file to its mask: what is in work at once is bounded by them.

The figures are measured peaks of a process, per pixel. A picture in a file of 8 bits and a network of few classes take
about `picture_memory.A_PIXEL`; files of more bits, many classes and further outputs take more.
"""

from __future__ import annotations

from dataclasses import dataclass

from agir_cvtoolkit.config import SegInference
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.picture_memory import decoding_bytes
from agir_cvtoolkit.pictures import glance
from agir_cvtoolkit.records import Record

from .originals import crop_of
from .predictor import Predictor
from .tile_size import tile_of

_RGB = 3
_FOUND = 7
"""Class indices, their connected parts, and what is counted while they are found."""

_PIECES = 4
"""Batches of tiles of one picture at a time: one is being predicted, two wait, one is being blended."""


@dataclass(frozen=True)
class Predicting:
    """What predicting takes beside the picture.

    Attributes:
        pixel: bytes for each pixel of the picture.
        row: bytes for each pixel of its width.
        fixed: bytes whatever its size.
    """

    pixel: float = 0.0
    row: int = 0
    fixed: int = 0

    @classmethod
    def of(cls, predictor: Predictor, settings: SegInference) -> Predicting:
        """Return what a predictor takes, with the outputs that are asked for."""
        output = settings.output
        pixel = _FOUND + output.save_uncertainty + 6 * output.save_instances + _RGB * output.save_viz
        pixel += _RGB * output.save_colorized_masks + 4 * output.save_cutouts
        if not predictor.needs_tiles:
            return cls(pixel)
        looks = 4 if "disagreement" in settings.all_scores else 1
        planes = 4 * (len(predictor.classes) + looks)
        height, width = tile_of(settings.tile, predictor)
        batch = settings.batch_size * height * width * planes
        return cls(pixel, 2 * height * planes, (_PIECES + looks - 1) * batch)


def held_bytes(record: Record, predicting: Predicting) -> int:
    """Return how many bytes a record holds at most, by its picture's header; 0 where that cannot be read.

    Args:
        record: of a cutout its own pixels count.
        predicting: what is held beside its picture.
    """
    if record.image_path is None:
        return 0
    try:
        info = glance(record.image_path)
        left, top, right, bottom = crop_of(record, info.size)
    except DataError:
        return 0
    width, height = right - left, bottom - top
    each = _RGB + predicting.pixel
    if record.crop is None:
        each = max(each, decoding_bytes(info))
    return round(width * height * each) + width * predicting.row + predicting.fixed
