"""How pictures are read, by one rule for a process.

The most pixels that one may have: above, a file is taken for a decompression bomb (``io.max_megapixels``; the bound of
the image libraries is one for a process, too). And how many bits of 16-bit samples are in use (``io.sample_bits``).
"""

from __future__ import annotations

_MEGAPIXEL = 1_000_000
DEFAULT_MEGAPIXELS = 1000
"""3 GB as RGB."""

WHOLE_SAMPLES = 16
"""Bits of a 16-bit sample that are in use unless somebody says otherwise: all."""

_megapixels = DEFAULT_MEGAPIXELS
_sample_bits = WHOLE_SAMPLES


def allow_megapixels(megapixels: int) -> None:
    """Set how large a picture may be, for the whole process."""
    global _megapixels  # noqa: PLW0603 - it holds for the process
    _megapixels = megapixels


def take_sample_bits(bits: int) -> None:
    """Set how many bits of a 16-bit sample are in use, 8 to 16, for the whole process: 12 for many a camera's."""
    global _sample_bits  # noqa: PLW0603 - it holds for the process
    _sample_bits = bits


def bits_in_use() -> int:
    """Return how many bits of a 16-bit sample are in use."""
    return _sample_bits


def reading_identity() -> tuple[int, ...]:
    """Return what makes other pixels of the same file, for the identity of what is made of them; nothing as a rule."""
    return () if _sample_bits == WHOLE_SAMPLES else (_sample_bits,)


def allowed_megapixels() -> int:
    """Return how many megapixels a picture may have."""
    return _megapixels


def allowed_pixels() -> int:
    """Return how many pixels a picture may have."""
    return _megapixels * _MEGAPIXEL
