"""The most pixels that a picture may have: above, a file is taken for a decompression bomb.

One number for a process, as the bound of the image libraries is; ``io.max_megapixels`` sets it.
"""

from __future__ import annotations

_MEGAPIXEL = 1_000_000
DEFAULT_MEGAPIXELS = 1000
"""3 GB as RGB."""

_megapixels = DEFAULT_MEGAPIXELS


def allow_megapixels(megapixels: int) -> None:
    """Set how large a picture may be, for the whole process."""
    global _megapixels  # noqa: PLW0603 - it holds for the process
    _megapixels = megapixels


def allowed_megapixels() -> int:
    """Return how many megapixels a picture may have."""
    return _megapixels


def allowed_pixels() -> int:
    """Return how many pixels a picture may have."""
    return _megapixels * _MEGAPIXEL
