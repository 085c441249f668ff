"""Numbers with the right form of what they count."""

from __future__ import annotations


def counted(number: int, one: str, several: str | None = None) -> str:
    """Return ``1 picture`` or ``2 pictures``.

    Args:
        number: how many.
        one: what is counted, as one.
        several: as many; None adds an s.
    """
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def spent(seconds: float) -> str:
    """Return a stretch of work as people read it: ``40 seconds``, ``1 minute``, ``2.5 hours``."""
    if seconds < 59.5:
        return counted(max(1, round(seconds)), "second")
    if seconds < 3570:
        return counted(round(seconds / 60), "minute")
    hours = f"{seconds / 3600:,.1f}"
    return "1 hour" if hours == "1.0" else f"{hours} hours"
