"""Numbers with the right form of what they count."""

from __future__ import annotations


def counted(number: int, one: str, several: str | None = None) -> str:
    """Return ``1 picture`` or ``2 pictures``.

    Args:
        number: how many.
        one: what is counted, as one.
        several: as many; None adds an s.
    """
    return f"{number} {one if number == 1 else several or one + 's'}"
