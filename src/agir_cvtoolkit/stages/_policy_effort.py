"""People have to change too much of what is proposed."""

from __future__ import annotations

from dataclasses import dataclass

from ._policy_evidence import Condition, Evidence


@dataclass(frozen=True)
class Effort:
    """The mean share of what was proposed that people changed, over the pictures since the last training."""

    least: float

    def look(self, evidence: Evidence) -> Condition:
        """Return whether it is as large as that."""
        if not evidence.effort:
            return Condition("effort", None, self.least, False, "a picture that came back")
        value = sum(evidence.effort.values()) / len(evidence.effort)
        missing = f"people change {value:.1%} of what is proposed, {self.least:.1%} are asked for"
        return Condition(
            "effort", value, self.least, value >= self.least, "" if value >= self.least else missing
        )
