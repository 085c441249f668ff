"""The shorthand ``has_mask``."""

from __future__ import annotations

from agir_cvtoolkit.errors import QueryError

from .conditions import MaskTest
from .pointing import Spot

MASK_KEYS = ("has_mask", "has_masks")

_WITH = {"1", "true", "yes", "1.0"}
_WITHOUT = {"0", "false", "no", "0.0"}


def mask_test(key: str, content: object, spot: Spot | None = None, *, negated: bool = False) -> MaskTest:
    """Return the test for a truth value: 1, true and yes, or 0, false and no.

    Raises:
        QueryError: it is none of these.
    """
    word = str(content).lower()
    if word not in _WITH | _WITHOUT:
        raise QueryError(
            f"{key} is true or false, not '{content}'", f"Write {key}, {key}=true or {key}=false."
        )
    return MaskTest((word in _WITH) != negated, spot)
