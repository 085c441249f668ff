"""Predictors of others, named by where they are imported from.

``package.module:attribute`` names an object that is a predictor, or a class or function that makes one from
``seg_inference.model.options``. It is checked when it is loaded, and what it predicts is checked tile by tile.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from agir_cvtoolkit.errors import ConfigError, DataError, did_you_mean

from .around import AroundPictures, AroundTiles
from .predictor import RGB, Band, Predictor, Probabilities
from .tile_size import USUAL

_SEE = "See docs/models.md for what a predictor has to have."
_UNEVEN = 1e-3


def load_plugin(path: str, options: Mapping[str, Any]) -> Predictor:
    """Load a predictor.

    Args:
        path: ``package.module:attribute``; the package must be importable.
        options: keyword arguments for a class or function.

    Raises:
        ConfigError: it cannot be imported or made, or is no predictor.
    """
    made = _made(path, _found(path), options)
    faults = list(_faults(made))
    if faults:
        raise ConfigError(f"{path} is no predictor: {'; '.join(faults)}", _SEE)
    return _CheckedTiles(made) if made.needs_tiles else _CheckedBands(made)


def _found(path: str) -> Any:
    module_name, _, attribute = path.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"predictor {path} cannot be imported: {error}",
            "Install its package here, or name its folder in the environment variable PYTHONPATH.",
        ) from error
    except Exception as error:
        raise ConfigError(
            f"predictor {path} cannot be imported: {type(error).__name__}: {error}", "Correct its module."
        ) from error
    for name in attribute.split("."):
        if not hasattr(found, name):
            near = did_you_mean(name, [known for known in dir(found) if not known.startswith("_")])
            raise ConfigError(f"predictor {path}: there is no '{name}' in it", near or _SEE)
        found = getattr(found, name)
    return found


def _made(path: str, found: Any, options: Mapping[str, Any]) -> Any:
    if not callable(found):
        if options:
            raise ConfigError(
                f"{path} is an object and takes no options", "Remove seg_inference.model.options."
            )
        return found
    try:
        return found(**options)
    except Exception as error:
        raise ConfigError(
            f"predictor {path} does not start with the options {dict(options)}: {type(error).__name__}: {error}",
            "Correct seg_inference.model.options, or the predictor.",
        ) from error


def _faults(made: Any) -> Iterator[str]:
    name, classes, ids = (getattr(made, key, None) for key in ("name", "classes", "class_ids"))
    if not isinstance(name, str) or not name:
        yield "its name is no text"
    if not isinstance(classes, tuple) or len(classes) < 2 or not all(isinstance(one, str) for one in classes):
        yield "its classes are not a tuple of two or more names, the background first"
    elif (
        not isinstance(ids, tuple)
        or len(set(ids)) != len(classes)
        or ids[0] != 0
        or not all(isinstance(one, int) and one in range(256) for one in ids)
    ):
        yield "its class_ids are not a tuple of as many different numbers of 0..255, 0 first"
    tiles = getattr(made, "needs_tiles", None)
    if not isinstance(tiles, bool):
        yield "its needs_tiles is neither True nor False"
    else:
        size = getattr(made, "tile_size", USUAL)
        if not (
            isinstance(size, tuple) and len(size) == 2 and all(isinstance(s, int) and s > 0 for s in size)
        ):
            yield "its tile_size is not a pair of height and width in pixels"
        for method in ("predict_tiles", "working_size") if tiles else ("predict_bands",):
            if not callable(getattr(made, method, None)):
                yield f"it has no method {method}"


class _CheckedTiles(AroundTiles):
    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        width, height = self._inner.working_size(size)
        return max(1, int(width)), max(1, int(height))

    def predict_tiles(self, batch: RGB) -> Probabilities:
        wanted = len(batch), len(self.classes), *batch.shape[1:3]
        return _checked(self.name, self._inner.predict_tiles(batch), wanted, 1)


class _CheckedBands(AroundPictures):
    def predict_bands(self, rgb: RGB) -> Iterator[Band]:
        height, width = rgb.shape[:2]
        top = 0
        for band in self._inner.predict_bands(rgb):
            rows = band.probabilities.shape[1] if getattr(band.probabilities, "ndim", 0) == 3 else 0
            if band.top != top or not 0 < rows <= height - top:
                raise DataError(
                    f"predictor {self.name} gave a band of {rows} rows at {band.top} where row {top} of {height} is next",
                    _SEE,
                )
            yield Band(top, _checked(self.name, band.probabilities, (len(self.classes), rows, width), 0))
            top += rows
        if top != height:
            raise DataError(f"predictor {self.name} gave {top} rows of a picture of {height}", _SEE)


def _checked(name: str, found: Any, wanted: tuple[int, ...], axis: int) -> Probabilities:
    if not isinstance(found, np.ndarray) or found.shape != wanted or found.dtype.kind != "f":
        got = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
        raise DataError(f"predictor {name} gave {got}, not float32 {wanted}", _SEE)
    values: Probabilities = found.astype(np.float32, copy=False)
    # Comparisons that are wrong for NaN as well.
    if not (values.size == 0 or (values.min() >= 0 and abs(values.sum(axis=axis) - 1).max() <= _UNEVEN)):
        raise DataError(
            f"predictor {name} gave probabilities that are not in [0, 1] with the sum 1 over its classes",
            _SEE,
        )
    return values
