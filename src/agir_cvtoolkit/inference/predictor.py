"""What a predictor is: two small protocols and the value that both end in.

A network looks at tiles and needs nothing but their pixels: `TilePredictor`. A rule such as Otsu's threshold needs the
whole picture before it can judge any part of it: `PicturePredictor`.
`agir_cvtoolkit.inference.segment.probability_bands` turns either into the same stream of bands, so nobody after it has
to ask which one it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

RGB = NDArray[np.uint8]
Probabilities = NDArray[np.float32]

PLANT_OR_NOT = ("background", "plant")
RECORD_CLASS = 255
"""Class id of ``plant`` where nothing but plant or not is known: masks hold the record's own class id instead."""


@dataclass(frozen=True, eq=False)
class Band:
    """Finished rows of a picture.

    Attributes:
        top: the first row, in pixels of the picture.
        probabilities: float32 of shape (classes, rows, picture width), in [0, 1], summing to 1 over the
            classes; class 0 is background. Planes behind the classes (`looks`) are about the same pixels.
    """

    top: int
    probabilities: Probabilities


class Named(Protocol):
    """What every predictor says of itself."""

    @property
    def name(self) -> str:
        """``excess_green``, or architecture and weights: ``unet-efficientnet_lite0@`` and 12 hex digits."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; the first is the background."""
        ...

    @property
    def class_ids(self) -> tuple[int, ...]:
        """Mask value of each class, 0 for the background; `mask_values` says what a record's mask holds."""
        ...


def is_plant_or_not(predictor: Named) -> bool:
    """Whether a predictor knows no more than plant or not (``preprocess.classes=binary``, excess green).

    Only then does 255 stand for the record's own class id; among labels it is a class id like any other.
    """
    return predictor.classes == PLANT_OR_NOT and predictor.class_ids == (0, RECORD_CLASS)


def mask_values(predictor: Named, record_class: int) -> tuple[int, ...]:
    """Return the mask value of each class for a record.

    Args:
        predictor: of either kind.
        record_class: the record's own class id, 1..255.
    """
    return (0, record_class) if is_plant_or_not(predictor) else predictor.class_ids


class TilePredictor(Named, Protocol):
    """Predicts tiles of a picture one by one, each from its own pixels alone."""

    @property
    def needs_tiles(self) -> Literal[True]:
        """True."""
        ...

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return width and height at which to predict a picture of `size`; `size` itself for no scaling.

        The same size always gives the same answer; asked for by several threads.
        """
        ...

    def predict_tiles(self, batch: RGB) -> Probabilities:
        """Predict a batch.

        Args:
            batch: uint8 RGB of shape (n, height, width, 3); height and width are multiples of 32.

        Returns:
            float32 of shape (n, classes, height, width), summing to 1 over the classes. A tile's result must
            not depend on the other tiles of its batch.

        Raises:
            MemoryError: the batch does not fit into memory; the caller halves it and goes on.
        """
        ...


class PicturePredictor(Named, Protocol):
    """Predicts a picture after having seen all of it."""

    @property
    def needs_tiles(self) -> Literal[False]:
        """False."""
        ...

    def predict_bands(self, rgb: RGB) -> Iterator[Band]:
        """Predict a picture in bands.

        Args:
            rgb: uint8 of shape (height, width, 3).

        Yields:
            Bands from top to bottom without gap or overlap. Memory beyond the picture stays bounded by a band
            and at most two bytes per pixel.
        """
        ...


Predictor = TilePredictor | PicturePredictor
