"""The corrections of a run in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OUTCOMES = ("accepted", "edited", "relabelled", "deleted", "added", "unknown")


def corrections_line(figures: Mapping[str, Any]) -> str:
    """Return the figures of corrections in a line.

    For example ``12 proposals: 7 accepted (58%), 4 edited (IoU 0.83), 1 deleted; 2 added``.

    Args:
        figures: as `metrics.json` has them under ``download-cvat``, ``corrections``.
    """
    counts = {name: int(figures.get(name) or 0) for name in _OUTCOMES}
    proposals, share = int(figures.get("proposals") or 0), figures.get("share_accepted")
    parts = [f"{counts['accepted']} accepted" + (f" ({share:.0%})" if share is not None else "")]
    for name in ("edited", "relabelled", "deleted", "unknown"):
        if counts[name]:
            parts.append(f"{counts[name]} {name}")
            if name == "edited" and figures.get("mean_iou") is not None:
                parts[-1] += f" (IoU {figures['mean_iou']:.2f})"
    added = f"; {counts['added']} added" if counts["added"] else ""
    return f"{proposals} proposal{'' if proposals == 1 else 's'}: {', '.join(parts)}{added}"
