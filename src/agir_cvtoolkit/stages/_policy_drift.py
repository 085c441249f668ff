"""The model in service agrees less with people than it did at first."""

from __future__ import annotations

from dataclasses import dataclass

from agir_cvtoolkit.quality.intervals import FEWEST, measured

from ._policy_evidence import Condition, Evidence


@dataclass(frozen=True)
class Drift:
    """The agreement on the newest control slice lies below the interval of the model's first one.

    Both slices were drawn at random, so that a difference is one of the pictures that come now, not of the choice.
    """

    def look(self, evidence: Evidence) -> Condition:
        """Return whether it does."""
        if not evidence.slices:
            return Condition("drift", None, 0.0, False, "a control slice that came back")
        newest = evidence.slices[-1]
        value = sum(newest.agreement) / len(newest.agreement)
        first = next(found for found in evidence.slices if found.model == newest.model)
        told = measured(first.agreement)
        if told is None or told.low is None:
            more = FEWEST - len(first.agreement)
            return Condition(
                "drift", value, 0.0, False, f"{more} more control pictures of round {first.number}"
            )
        if first.number == newest.number:
            return Condition(
                "drift", value, told.low, False, "a second control slice of the model in service"
            )
        said = f"it agrees by {value:.3f}, which is not below {told.low:.3f}"
        return Condition("drift", value, told.low, value < told.low, "" if value < told.low else said)
