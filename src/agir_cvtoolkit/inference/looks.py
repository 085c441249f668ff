"""Looking at a picture several times: where the looks disagree, a prediction is not to be relied on.

The looks are the picture as it is, mirrored, in a brighter and warmer light, and in a darker and cooler one. Their
disagreement is the Jensen-Shannon divergence of their probabilities (Lin 1991, "Divergence measures based on the
Shannon entropy"): the entropy of the mean minus the mean of the entropies, here as a share of the largest entropy, in
[0, 1]. It is given out as one more plane behind the classes; the classes are those of the first look, so a mask does
not depend on how doubt is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from .around import AroundPictures, AroundTiles
from .predictor import RGB, Band, Predictor, Probabilities
from .uncertainty import normalised_entropy

_LIGHT = ((1.3, 1.15, 1.0), (0.75, 0.8, 0.85))
"""Factors on red, green and blue."""


def looking_again(predictor: Predictor) -> Predictor:
    """Return a predictor whose results have one more plane behind the classes: the disagreement of the looks."""
    return _Tiles(predictor) if predictor.needs_tiles else _Pictures(predictor)


class _Tiles(AroundTiles):
    def predict_tiles(self, batch: RGB) -> Probabilities:
        looks = [back(self._inner.predict_tiles(there(batch))) for there, back in _looks()]
        doubt = disagreement([look[:, : len(self.classes)] for look in looks])
        return np.concatenate([looks[0], doubt[:, None]], axis=1)


class _Pictures(AroundPictures):
    def predict_bands(self, rgb: RGB) -> Iterator[Band]:
        streams = [(self._inner.predict_bands(there(rgb)), back) for there, back in _looks()]
        for bands in zip(*(stream for stream, _ in streams), strict=True):
            looks = [back(band.probabilities) for band, (_, back) in zip(bands, streams, strict=True)]
            doubt = disagreement([look[None, : len(self.classes)] for look in looks])
            yield Band(bands[0].top, np.concatenate([looks[0], doubt]))


def disagreement(looks: list[Probabilities]) -> NDArray[np.float32]:
    """Return how far several looks at the same pixels are apart.

    Args:
        looks: each float32 of shape (n, classes, height, width).

    Returns:
        float32 of shape (n, height, width), in [0, 1]; 0 where all looks say the same.
    """
    share = np.float32(1 / len(looks))
    mean: Probabilities = np.asarray(np.sum(looks, axis=0, dtype=np.float32) * share)
    each = np.sum([_entropies(look) for look in looks], axis=0, dtype=np.float32) * share
    found: NDArray[np.float32] = np.clip(_entropies(mean) - each, 0.0, 1.0)
    return found


def _entropies(look: Probabilities) -> NDArray[np.float32]:
    return np.stack([normalised_entropy(one) for one in look])


def _looks() -> list[tuple[Callable[[RGB], RGB], Callable[[Probabilities], Probabilities]]]:
    def same(array: Probabilities) -> Probabilities:
        return array

    def plain(rgb: RGB) -> RGB:
        return rgb

    return [
        (plain, same),
        (lambda rgb: np.ascontiguousarray(rgb[..., ::-1, :]), lambda array: array[..., ::-1]),
        *((_lit(factors), same) for factors in _LIGHT),
    ]


def _lit(factors: tuple[float, float, float]) -> Callable[[RGB], RGB]:
    tables = np.clip(np.outer(np.arange(256), factors), 0, 255).round().astype(np.uint8)
    return lambda rgb: np.stack([tables[rgb[..., c], c] for c in range(3)], axis=-1)
