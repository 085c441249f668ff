"""Which capture a frame of CVAT is: by the transfer's manifest, then by the name of its file; never guessed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from agir_cvtoolkit.captures import Capture
from agir_cvtoolkit.errors import UsageError

from ._return_frames import stem_of
from ._transfer_manifest import MANIFEST, read_transfer_manifest


@dataclass(frozen=True)
class Unknown:
    """Why a frame is no capture."""

    reason: str


@dataclass(frozen=True)
class CaptureNames:
    """The names that a transfer gave to the pictures of captures.

    Attributes:
        ids: by name of the file; several where manifests disagree.
        manifests: where that was read.
    """

    ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    manifests: tuple[Path, ...] = ()

    @classmethod
    def read(cls, manifests: Iterable[Path]) -> CaptureNames:
        """Read manifests.

        Raises:
            DataError: one of them is none.
        """
        from agir_cvtoolkit.cvat import upload_name

        found: dict[str, dict[str, None]] = {}
        paths = tuple(dict.fromkeys(manifests))
        for path in paths:
            for filename, entry in read_transfer_manifest(path).items():
                capture_id = _id_of(entry)
                if capture_id is None:
                    continue
                name = PurePosixPath(filename.replace("\\", "/"))
                # CVAT cannot keep every name: such a picture was sent under another one.
                for known in {name.name, upload_name(name.stem, name.suffix)}:
                    found.setdefault(known, {})[capture_id] = None
        return cls({name: tuple(ids) for name, ids in found.items()}, paths)

    def asked_of(self, frame_name: str) -> tuple[str, ...]:
        """Return the ids of captures that a frame may be: those of the manifest, else its name without suffix."""
        base = PurePosixPath(frame_name.replace("\\", "/")).name
        if base in self.ids:
            return self.ids[base]
        stem = stem_of(frame_name)
        return (stem,) if stem else ()

    def resolve(self, frame_name: str, known: Mapping[str, Capture]) -> Capture | Unknown:
        """Return the capture that a frame is.

        Args:
            frame_name: name of its file in CVAT.
            known: captures that are in the store, of those that were asked for.
        """
        ids = self.asked_of(frame_name)
        found = [known[capture_id] for capture_id in ids if capture_id in known]
        if len(found) == 1:
            return found[0]
        if len(found) > 1:
            names = ", ".join(f"'{capture.capture_id}'" for capture in found)
            return Unknown(f"the manifests call it several captures: {names}")
        if len(ids) == 1 and ids[0] != stem_of(frame_name):
            return Unknown(f"it is capture '{ids[0]}' by the manifest, and the store has none of that id")
        return Unknown(f"no capture of the store is called '{stem_of(frame_name)}', and no manifest names it")


def find_manifests(manifest: Path | None, folders: Sequence[Path]) -> tuple[Path, ...]:
    """Return the manifests to be read: the one that is named, else those that lie in the folders.

    Raises:
        UsageError: the one that is named is not there.
    """
    if manifest is None:
        found = {path.resolve(): path for folder in folders if (path := folder / MANIFEST).is_file()}
        return tuple(found.values())
    path = manifest / MANIFEST if manifest.is_dir() else manifest
    if not path.is_file():
        raise UsageError(
            f"--manifest {manifest} is not there",
            f"Name the {MANIFEST} that firebase transfer wrote, or leave the option out to go by file names.",
        )
    return (path,)


def _id_of(entry: Mapping[str, Any]) -> str | None:
    value = entry.get("firebase_id")
    return value if isinstance(value, str) and value else None
