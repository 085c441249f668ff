"""How the learning rate moves over a training."""

from __future__ import annotations

import math

_START, _END, _POWER = 0.04, 1e-4, 0.9


def rate_factor(step: int, steps: int, schedule: str, warmup: float) -> float:
    """Return the factor on the highest learning rate.

    It rises by half a cosine over the share `warmup`, then falls: ``cosine`` by the other half (one cycle, Smith & Topin
    2018; Loshchilov & Hutter 2017), ``poly`` by (1 - t)^0.9 (Liu et al. 2015, "ParseNet"), ``constant`` not at all.

    Args:
        step: from 0.
        steps: of the whole training.
        schedule: ``cosine``, ``poly`` or ``constant``.
        warmup: in [0, 1).
    """
    top = max(1, int(steps * warmup)) if warmup else 0
    if step < top:
        return _START + (1 - _START) * (1 - math.cos(math.pi * step / top)) / 2
    done = min(1.0, (step - top) / max(1, steps - top))
    if schedule == "constant":
        return 1.0
    fallen = (1 + math.cos(math.pi * done)) / 2 if schedule == "cosine" else float((1 - done) ** _POWER)
    return max(_END, fallen)
