"""What a server can, known from its version."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agir_cvtoolkit.errors import ServerFaultError

OLDEST = (2, 20)
_NEWEST_KNOWN = (2, 80)


@dataclass(frozen=True)
class Capabilities:
    """What may be used on a server.

    Attributes:
        version: as numbers, ``(2, 42, 0)``; of a server that names none, the newest that is known.
        score: shapes have a ``score`` that can be written (2.60).
        access_tokens: personal access tokens exist (2.48).
        old_export: where ``POST .../dataset/export`` does not export, ``GET .../annotations?format=`` does (until
            2.32).
        validation_layout: tasks can have honeypots, and say which frames they are (2.21).
    """

    version: tuple[int, ...]
    score: bool
    access_tokens: bool
    old_export: bool
    validation_layout: bool

    @property
    def text(self) -> str:
        """The version as people write it."""
        return ".".join(map(str, self.version))


def capabilities_of(version: str | None, url: str) -> Capabilities:
    """Return what the server at `url` can by the version that it names.

    Raises:
        ServerFaultError: it is older than 2.20.
    """
    found = re.match(r"\s*v?(\d+)\.(\d+)(?:\.(\d+))?", version or "")
    numbers = tuple(int(part) for part in found.groups() if part is not None) if found else _NEWEST_KNOWN
    if numbers < OLDEST:
        raise ServerFaultError(
            f"The CVAT server at {url} is version {version}, older than {OLDEST[0]}.{OLDEST[1]}",
            "Update the server; this program speaks to CVAT 2.20 and newer.",
        )
    return Capabilities(
        version=numbers,
        score=numbers >= (2, 60),
        access_tokens=numbers >= (2, 48),
        old_export=numbers < (2, 32),
        validation_layout=numbers >= (2, 21),
    )
