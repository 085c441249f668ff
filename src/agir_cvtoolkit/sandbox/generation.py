"""What the versions of CVAT that the sandbox plays can do, and how their answers differ."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agir_cvtoolkit.errors import ConfigError

GENERATIONS = ("2.20.0", "2.32.0", "2.42.0", "2.48.0", "2.60.0", "2.74.0", "2.80.0")
"""Versions at which something that a client notices has changed; any other is played by comparison."""

_OLDEST = (2, 20)


@dataclass(frozen=True)
class Generation:
    """One version of the server.

    What is known only to have come between two versions is taken to have come with the later one.

    Attributes:
        version: as numbers, ``(2, 42, 0)``.
        old_exports: ``GET .../dataset`` and ``GET .../annotations?format=`` export; from 2.32 they are 410.
        validation: ``validation_params`` at creation and ``validation_layout`` (2.21).
        about_pictures: ``about`` names a logo and a subtitle (2.32).
        consensus: replicas of jobs (2.27).
        chunk_dates: ``data/meta`` says when chunks changed (2.21).
        checks_points: the number of a shape's points is checked (2.40).
        checks_ids: ids are refused by ``create`` and demanded by ``delete`` (2.41).
        access_tokens: personal access tokens (2.48).
        storage_fields: tasks, projects and ``data/meta`` say where things are stored (2.48).
        reads_score: shapes have a ``score`` (2.56).
        writes_score: and one that is sent is kept (2.60).
        parent_names: jobs and tasks carry the names of what they are in, jobs ``replicas_count`` (2.60).
        intervals: label type ``interval`` and lists of them (2.66).
        import_modes: an import of a file may append (2.66).
        media_types: jobs and tasks name their kind of media (2.67).
        initial_replicas: tasks are asked for ``initial_replicas``, and a replica's type is ``replica`` (2.80).
    """

    version: tuple[int, int, int]
    old_exports: bool
    validation: bool
    about_pictures: bool
    consensus: bool
    chunk_dates: bool
    checks_points: bool
    checks_ids: bool
    access_tokens: bool
    storage_fields: bool
    reads_score: bool
    writes_score: bool
    parent_names: bool
    intervals: bool
    import_modes: bool
    media_types: bool
    initial_replicas: bool

    @property
    def replica(self) -> str:
        """The type of a replica job."""
        return "replica" if self.initial_replicas else "consensus_replica"

    @property
    def job_types(self) -> tuple[str, ...]:
        """The types that a job can have."""
        return ("annotation", "ground_truth", *([self.replica] if self.consensus else []))


def generation_of(version: str) -> Generation:
    """Return what a server of a version can.

    Args:
        version: ``2.42``, ``2.42.0`` or with whatever comes behind the numbers.

    Raises:
        ConfigError: it does not begin with numbers, or is older than 2.20.
    """
    found = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", version)
    numbers = (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)
    if numbers < _OLDEST:
        raise ConfigError(
            f"the sandbox cannot play CVAT '{version}'",
            "Use a version from 2.20 on.",
        )

    def since(minor: int) -> bool:
        return numbers >= (2, minor)

    return Generation(
        version=numbers,
        old_exports=not since(32),
        validation=since(21),
        about_pictures=since(32),
        consensus=since(27),
        chunk_dates=since(21),
        checks_points=since(40),
        checks_ids=since(41),
        access_tokens=since(48),
        storage_fields=since(48),
        reads_score=since(56),
        writes_score=since(60),
        parent_names=since(60),
        intervals=since(66),
        import_modes=since(66),
        media_types=since(67),
        initial_replicas=since(80),
    )


def full_version(version: str) -> str:
    """Return a version as the server writes it: ``2.60`` is ``2.60.0``."""
    return f"{version}.0" if re.fullmatch(r"\d+\.\d+", version) else version
