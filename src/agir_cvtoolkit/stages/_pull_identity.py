"""What was pulled, as one value: the same again is the same pass."""

from __future__ import annotations

from collections.abc import Iterable

from agir_cvtoolkit.pictures import sha256_of
from agir_cvtoolkit.runs import Run, fingerprint

from ._pulled import FRAME_MAP


def pull_identity(run: Run, directories: Iterable[str]) -> str:
    """Return a fingerprint of the frame maps and annotations in folders of tasks.

    Args:
        run: whose folders they are.
        directories: relative to the run.
    """
    found = []
    for directory in sorted(directories):
        folder = run.path(directory)
        for path in (folder / FRAME_MAP, *sorted((folder / "annotations").glob("*.json"))):
            found.append((directory, path.name, sha256_of(path)))
    return fingerprint(found)
