"""The last training is long ago, and something came back since."""

from __future__ import annotations

from dataclasses import dataclass

from ._policy_evidence import Condition, Evidence


@dataclass(frozen=True)
class Age:
    """So many days have gone since the last training, or since the loop began."""

    days: float

    def look(self, evidence: Evidence) -> Condition:
        """Return whether they have, with at least one correction."""
        more = self.days - evidence.days
        missing = [f"{more:.1f} more days"] if more > 0 else []
        missing += [] if evidence.effort else ["a correction"]
        return Condition("age_days", evidence.days, self.days, not missing, " and ".join(missing))
