"""Which pictures of a push the server reaches itself, and under which names."""

from __future__ import annotations

import logging
import os
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from agir_cvtoolkit.config import CvatUpload
from agir_cvtoolkit.cvat import (
    CvatSession,
    ManifestPicture,
    ServerPlace,
    add_to_manifest,
    check_server_files,
    manifest_text,
)
from agir_cvtoolkit.errors import NotFoundError, PictureError
from agir_cvtoolkit.pictures import sha256_of
from agir_cvtoolkit.runs import Run, write_text

from ._candidates import Candidate

_log = logging.getLogger(__name__)

_MOST_NAMED = 5


def placed(
    candidates: Sequence[Candidate],
    upload: CvatUpload,
    session: CvatSession,
    run: Run,
    *,
    dry_run: bool = False,
) -> tuple[Candidate, ...]:
    """Say of each picture where the server finds it, and check that it does.

    A picture counts as the server's only where the file below the configured root is, byte for byte, the
    record's original: what was rendered for the prediction (cutouts, pictures turned by EXIF, 16 bits) lies
    in the run alone. Such pictures are an error, or, with ``unreachable: bytes``, are sent, in tasks of their
    own: no task mixes both.

    Args:
        candidates: that are to be sent.
        upload: ``transport``, ``share``, ``cloud``, ``unreachable``.
        session: in the organization of the project.
        run: gets a list of what a bucket's manifest should hold.
        dry_run: write nothing.

    Returns:
        The candidates, those first that the server reaches, under their names there.

    Raises:
        PictureError: pictures that the server cannot reach, each with its reason.
        NotFoundError: there is no such cloud storage, or it has no such manifest.
        RemoteError: of its kinds.
    """
    if upload.transport == "bytes" or not candidates:
        return tuple(candidates)
    root = Path(os.path.abspath(Path(_root(upload)).expanduser()))  # noqa: PTH100 - links stay as they are
    place = _place(upload)
    prefix = upload.cloud.prefix.strip("/") if upload.transport == "cloud" else ""
    reached: list[Candidate] = []
    others: list[tuple[Candidate, str]] = []
    for candidate in candidates:
        name = _below(candidate.source, root)
        reason = _unreachable(candidate, name, root)
        if name is None or reason is not None:
            others.append((candidate, reason or ""))
        else:
            reached.append(replace(candidate, file_name=f"{prefix}/{name}" if prefix else name, place=place))
    if others:
        _settle(others, reached, upload)
    _check(reached, place, upload, session, run, dry_run=dry_run)
    return (*reached, *(candidate for candidate, _ in others))


def _check(
    reached: Sequence[Candidate],
    place: ServerPlace,
    upload: CvatUpload,
    session: CvatSession,
    run: Run,
    *,
    dry_run: bool,
) -> None:
    """Ask the server whether it sees the pictures; a bucket's list of pictures is written or told before."""
    names = [candidate.file_name for candidate in reached]
    if place.manifest is None:
        check_server_files(session, place, names)
        return
    pictures = _listed(reached, place.manifest)
    if upload.cloud.write_manifest:
        if not dry_run:
            path = Path(_root(upload)).expanduser() / str(upload.cloud.manifest)
            if added := add_to_manifest(path, pictures):
                _log.info("%d pictures added to manifest %s", added, path)
        # In a rehearsal the manifest is what it will be only later.
        check_server_files(session, replace(place, manifest=None) if dry_run else place, names)
        return
    try:
        check_server_files(session, place, names)
    except (PictureError, NotFoundError) as error:
        if not dry_run:
            path = run.path("cvat_manifest.jsonl")
            write_text(path, manifest_text(pictures))
            error.next_step = f"{error.next_step} A manifest of these pictures lies at {path}.".strip()
        raise


def _listed(reached: Sequence[Candidate], manifest: str) -> list[ManifestPicture]:
    folder = posixpath.dirname(manifest)
    pictures = []
    for candidate in reached:
        path = posixpath.relpath(candidate.file_name, folder or ".")
        if path.startswith("../"):
            raise PictureError(
                f"'{candidate.file_name}' does not lie below the folder of manifest '{manifest}'",
                "Set cvat_upload.cloud.manifest to one beside or above all pictures.",
            )
        pictures.append(ManifestPicture(path, candidate.width, candidate.height))
    return pictures


def same_place(candidates: Sequence[Candidate]) -> Iterator[list[Candidate]]:
    """Yield candidates that may share a task: all from one place, or all sent."""
    for _, group in groupby(candidates, key=lambda candidate: candidate.place):
        yield list(group)


def _root(upload: CvatUpload) -> str:
    root = upload.share.root if upload.transport == "share" else upload.cloud.root
    return root or "."


def _place(upload: CvatUpload) -> ServerPlace:
    if upload.transport == "share":
        return ServerPlace()
    prefix, manifest = upload.cloud.prefix.strip("/"), upload.cloud.manifest
    key = f"{prefix}/{manifest}" if prefix and manifest else manifest
    return ServerPlace(upload.cloud.storage_id, key)


def _below(path: Path | None, root: Path) -> str | None:
    """Return the path below `root`, as it is written or, where links lead there, as it is."""
    if path is None:
        return None
    written = Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they are
    for inner, outer in ((written, root), (path.resolve(), root.resolve())):
        if inner.is_relative_to(outer):
            return inner.relative_to(outer).as_posix()
    return None


def _unreachable(candidate: Candidate, name: str | None, root: Path) -> str | None:
    if candidate.source is None:
        return "it was made for the prediction (a cutout) and lies in the run alone"
    if name is None:
        return f"{candidate.source} is not below {root}"
    try:
        same = not candidate.sha256 or sha256_of(candidate.source) == candidate.sha256
    except OSError as error:
        return f"{candidate.source} cannot be read: {error.strerror}"
    if not same:
        return (
            f"{candidate.source} is another file than the one that was predicted on: that was made of it "
            "(turned by EXIF, 16 bits), or it has changed since"
        )
    return None


def _settle(
    others: Sequence[tuple[Candidate, str]], reached: Sequence[Candidate], upload: CvatUpload
) -> None:
    listed = "; ".join(f"record {c.record_id}: {reason}" for c, reason in others[:_MOST_NAMED])
    more = f"; and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
    where = "on its share" if upload.transport == "share" else "in the bucket"
    count = "1 picture" if len(others) == 1 else f"{len(others)} pictures"
    said = f"The server cannot find {count} {where}: {listed}{more}"
    if not reached:
        raise PictureError(
            said, f"Is cvat_upload.{upload.transport}.root ('{_root(upload)}') the right folder?"
        )
    if upload.unreachable == "error":
        raise PictureError(
            said, "Set cvat_upload.unreachable=bytes to send these, in tasks of their own, or leave them out."
        )
    _log.warning("%s. They are sent, in tasks of their own", said)
