"""Several models beside each other: where they disagree, another training would have said something else.

Their disagreement is the Jensen-Shannon divergence of their probabilities, as that of several looks (`looks`);
Lakshminarayanan et al. 2017, "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles", use it for
the same end. It is given out as one more plane behind the classes; the classes are those of the first model, so a mask
does not depend on how doubt is measured. Time is that of all models.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np

from agir_cvtoolkit.errors import ConfigError

from .around import AroundPictures, AroundTiles
from .looks import disagreement
from .predictor import RGB, Band, PicturePredictor, Predictor, Probabilities, TilePredictor

PLANE = "ensemble"


class TileEnsemble(AroundTiles):
    """Predictors of tiles beside each other.

    Attributes:
        first: whose masks count.
        names: of the others.
    """

    def __init__(self, first: TilePredictor, others: Sequence[TilePredictor]) -> None:
        """Take the predictors, all of the same classes."""
        super().__init__(first)
        self.first = first
        self.names = tuple(other.name for other in others)
        self._others = tuple(others)

    def predict_tiles(self, batch: RGB) -> Probabilities:
        """Predict a batch; the last plane is the disagreement."""
        said = [one.predict_tiles(batch) for one in (self._inner, *self._others)]
        return np.concatenate([said[0], disagreement(said)[:, None]], axis=1)


class PictureEnsemble(AroundPictures):
    """Predictors of whole pictures beside each other.

    Attributes:
        first: whose masks count.
        names: of the others.
    """

    def __init__(self, first: PicturePredictor, others: Sequence[PicturePredictor]) -> None:
        """Take the predictors, all of the same classes."""
        super().__init__(first)
        self.first = first
        self.names = tuple(other.name for other in others)
        self._others = tuple(others)

    def predict_bands(self, rgb: RGB) -> Iterator[Band]:
        """Predict a picture in bands; the last plane is the disagreement."""
        streams = [one.predict_bands(rgb) for one in (self._inner, *self._others)]
        for bands in zip(*streams, strict=True):
            doubt = disagreement([band.probabilities[None] for band in bands])
            yield Band(bands[0].top, np.concatenate([bands[0].probabilities, doubt]))


def ensemble_of(first: Predictor, others: Sequence[Predictor]) -> Predictor:
    """Put predictors beside each other; without others it is the first itself.

    Raises:
        ConfigError: they do not know the same classes, or are of different kinds.
    """
    if not others:
        return first
    for other in others:
        same = (other.classes, other.class_ids, other.needs_tiles)
        if same != (first.classes, first.class_ids, first.needs_tiles):
            raise ConfigError(
                f"model {other.name} cannot stand beside {first.name}: it knows {', '.join(other.classes)},"
                f" not {', '.join(first.classes)}",
                "Name models of the same classes in seg_inference.model.ensemble.",
            )
    if first.needs_tiles:
        return TileEnsemble(first, cast("Sequence[TilePredictor]", others))
    return PictureEnsemble(first, cast("Sequence[PicturePredictor]", others))
