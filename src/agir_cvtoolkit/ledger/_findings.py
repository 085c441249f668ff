"""What is not as it should be in a ledger."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        subject: what it is about.
        problem: what is wrong with it.
        next_step: what to do about it.
    """

    subject: str
    problem: str
    next_step: str
