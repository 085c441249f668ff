"""Where the original of a record lies: the pixels that people saw and models are trained on."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from pathlib import Path

from agir_cvtoolkit.pictures import sha256_of
from agir_cvtoolkit.records import file_stem
from agir_cvtoolkit.runs import Run

_PLACES = (
    "images",
    "history/infer-*/*/images",
    "cvat_downloads/*/images",
    "select/images",
    "history/select/*/select/images",
)


class Originals:
    """The pictures of a run, listed once; what is fetched later is told by `add`."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = defaultdict(list)
        for place in _PLACES:
            for folder in sorted(self._run.root.glob(place)):
                for path in sorted(folder.iterdir()):
                    if not path.name.startswith("."):
                        found[path.stem].append(path)
        return found

    def add(self, path: Path) -> None:
        """Take note of a picture that was fetched."""
        listed = self._by_stem[path.stem]
        if path not in listed:
            listed.append(path)

    def may_be_here(self, record_id: str) -> bool:
        """Whether a file of the record's name lies in the run; it is not read, so it may be another picture."""
        return any(path.is_file() for path in self._by_stem.get(file_stem(record_id), ()))

    def find(
        self, record_id: str, sha256: str | None, task_folder: Path, source_path: str | None = None
    ) -> Path | None:
        """Find a record's original: in the run, or where the source has it.

        Args:
            record_id: of the record.
            sha256: that the file must have; None where it is not known: then only what was fetched from the
                task itself is its picture, whatever else in the run has that name.
            task_folder: of the pulled task.
            source_path: the file that the source named.

        Returns:
            The file, or None.
        """
        listed = self._by_stem.get(file_stem(record_id), [])
        if sha256 is None:
            fetched = task_folder / "images"
            found = [path for path in listed if path.parent == fetched and path.is_file()]
            return found[0] if found else None
        places = [*listed, Path(source_path)] if source_path else listed
        return next((path for path in places if _is(path, sha256)), None)


def _is(path: Path, sha256: str) -> bool:
    try:
        return path.is_file() and sha256_of(path) == sha256
    except OSError:
        # A source that cannot be read is no source; the server has the picture.
        return False


def is_untouched_since(path: Path, mark: Path) -> bool:
    """Whether a file was last written before another one was."""
    try:
        return path.is_file() and path.stat().st_mtime < mark.stat().st_mtime
    except OSError:
        return False
