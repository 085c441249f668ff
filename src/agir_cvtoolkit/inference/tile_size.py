"""Which tiles a network sees where the settings leave it open: those that it learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from agir_cvtoolkit.config._inference import whole_strides

from .predictor import Named

if TYPE_CHECKING:
    from agir_cvtoolkit.config import SegInference
    from agir_cvtoolkit.config._inference import Tile

USUAL = (512, 512)
"""Height and width for a predictor that does not say what it learned from, in pixels."""


@runtime_checkable
class LearnedFromTiles(Protocol):
    """A predictor that knows on which tiles it was trained; of one's own too, where it has this attribute."""

    @property
    def tile_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        ...


def tile_of(tile: Tile, predictor: Named) -> tuple[int, int]:
    """Return height and width of a tile in pixels.

    Args:
        tile: what the settings name counts.
        predictor: asked what it learned from; a size that is no multiple of 32 goes to the nearest one.
    """
    learned = predictor.tile_size if isinstance(predictor, LearnedFromTiles) else USUAL
    return tile.height or whole_strides(learned[0]), tile.width or whole_strides(learned[1])


def fitted(settings: SegInference, predictor: Named) -> SegInference:
    """Return settings that name height and width of a tile, as `tile_of` finds them."""
    height, width = tile_of(settings.tile, predictor)
    tile = settings.tile.model_copy(update={"height": height, "width": width})
    return settings.model_copy(update={"tile": tile})
