"""The time that a real server would take: the sandbox itself is quicker than any."""

from __future__ import annotations

import time
from dataclasses import dataclass

from agir_cvtoolkit.errors import ConfigError

_MEGA = 1e6


@dataclass(frozen=True)
class SimulatedWork:
    """Seconds that the server takes; what its own work leaves of them it sleeps.

    Attributes:
        request: for every request.
        creation: for every task that is made.
        chunk_megapixel: for every megapixel of a task's first chunk, which is prepared before the task is
            ready.
        write_megabyte, read_megabyte: for annotations, by the size of their JSON.
        export_megabyte: for an export, by the size of the annotations' JSON.
    """

    request: float = 0.0
    creation: float = 0.0
    chunk_megapixel: float = 0.0
    write_megabyte: float = 0.0
    read_megabyte: float = 0.0
    export_megabyte: float = 0.0

    def __post_init__(self) -> None:
        """Check the figures.

        Raises:
            ConfigError: one is negative.
        """
        if min(vars(self).values()) < 0:
            raise ConfigError("simulated work cannot take less than no time", "Use figures from 0 on.")

    def of_request(self, method: str, path: str, sent: int, answered: int) -> float:
        """Return the seconds for one request.

        Args:
            method: upper case.
            path: without query.
            sent, answered: bytes of both bodies before packing.
        """
        seconds = self.request
        if path.rstrip("/").endswith("/annotations"):
            if method in {"PUT", "PATCH"}:
                seconds += sent / _MEGA * self.write_megabyte
            elif method == "GET":
                seconds += answered / _MEGA * self.read_megabyte
        return seconds

    def of_creation(self, chunk_size: int, sizes: list[tuple[int, int]]) -> float:
        """Return the seconds for a task with pictures of these widths and heights."""
        first = sum(width * height for width, height in sizes[:chunk_size])
        return self.creation + first / _MEGA * self.chunk_megapixel

    def of_export(self, annotations: int) -> float:
        """Return the seconds for an export of annotations of so many bytes."""
        return annotations / _MEGA * self.export_megabyte


def rest_of(seconds: float, begun: float) -> float:
    """Return what is left of some seconds that began at a moment of the monotonic clock."""
    return max(0.0, begun + seconds - time.monotonic())


NO_WORK = SimulatedWork()

LIKE_CVAT_2_42 = SimulatedWork(
    request=0.03,
    creation=0.25,
    chunk_megapixel=0.013,
    write_megabyte=0.24,
    read_megabyte=0.21,
    export_megabyte=0.12,
)
"""As measured on a real CVAT 2.42 on two cores over loopback: requests take 30-90 ms, a task some 0.25 s and its
first chunk of 23 pictures of 3 megapixels about a second; annotations are written at 4 MB/s, read at 5 MB/s, and
exported in little more than half the time of reading."""
