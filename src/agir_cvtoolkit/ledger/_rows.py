"""What the ledger returns of runs, and what happened when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Event:
    """Something that happened to a record, a run or a model."""

    at: str
    kind: str
    run_id: str | None
    record_id: str | None
    detail: Mapping[str, object] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class RunNeeds:
    """Runs that something else stands on, by id.

    Attributes:
        unfinished: have a task, or new proposals, that are not wholly on the server yet.
        pushed: have records in a task.
        pulled: have read jobs.
        champions: have trained a model that is or was in service.
        champion_files: where these models lie.
    """

    unfinished: frozenset[str]
    pushed: frozenset[str]
    pulled: frozenset[str]
    champions: frozenset[str]
    champion_files: tuple[str, ...]
